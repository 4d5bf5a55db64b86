"""How the emulated machine is put together; none of these tests needs a network."""

from __future__ import annotations

import hashlib
import io
import platform
import tarfile
from pathlib import Path

import pytest

from lascompile.toolchain.versions import REQUIREMENTS
from tests.aarch64 import machine
from tests.aarch64.machine import Unavailable, fetch, prepare, unpack_package, unpack_wheels


def package(**links: str) -> bytes:
    """A Debian package of `./usr/bin/a`, `./usr/bin/b` and symbolic `links` in `./usr`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as tar:
        for name in ("./usr/bin/a", "./usr/bin/b"):
            info = tarfile.TarInfo(name)
            info.size, info.mode = 1, 0o755
            tar.addfile(info, io.BytesIO(name[-1:].encode()))
        for name, target in links.items():
            link = tarfile.TarInfo(f"./usr/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    members = (("debian-binary", b"2.0"), ("control.tar.xz", b"odd"), ("data.tar.xz", stream.getvalue()))
    parts = (_member(name, content) for name, content in members)
    return b"!<arch>\n" + b"".join(parts)


def _member(name: str, content: bytes) -> bytes:
    """Of an `ar` archive; members start at even addresses."""
    header = f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
    return header + content + b"\n" * (len(content) % 2)


def mirror(folder: Path, content: bytes) -> str:
    (folder / "pool").mkdir(parents=True)
    (folder / "pool" / "a.deb").write_bytes(content)
    return folder.as_uri()


def test_packages_are_unpacked(tmp_path: Path) -> None:
    unpack_package(package(c="bin/a", d="/etc/d"), tmp_path)
    assert (tmp_path / "usr" / "bin" / "b").read_text() == "b"
    assert (tmp_path / "usr" / "bin" / "a").stat().st_mode & 0o100
    assert (tmp_path / "usr" / "c").read_text() == "a"
    assert not (tmp_path / "usr" / "d").is_symlink()


def test_one_file_of_a_package(tmp_path: Path) -> None:
    unpack_package(package(), tmp_path, only="usr/bin/b")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]


def test_what_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no data.tar"):
        unpack_package(b"!<arch>\n" + _member("control.tar.xz", b"odd"), tmp_path)


def test_the_next_mirror_is_asked(tmp_path: Path) -> None:
    mirrors = ((tmp_path / "nowhere").as_uri(), mirror(tmp_path / "1", b"another"), mirror(tmp_path / "2", b"right"))
    checksum = hashlib.sha256(b"right").hexdigest()
    assert fetch("a.deb", checksum, mirrors) == b"right"
    with pytest.raises(Unavailable, match=r"cannot fetch a.deb \(.*No such file.*; .*/1: another checksum\)$"):
        fetch("a.deb", checksum, mirrors[:2])


def test_pip_without_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(Unavailable, match="pip cannot fetch wheels for aarch64 .*apache-tvm") as raised:
        unpack_wheels(tmp_path)
    assert "\n" not in str(raised.value)


def test_nothing_half_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(site: Path) -> None:
        assert site.is_dir()
        raise Unavailable("no network")

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "unpack_wheels", fails)
    with pytest.raises(Unavailable, match="no network"):
        prepare(tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_machines_are_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert machine.main() == 1
    message = "skipped: aarch64 is emulated under Linux on x86_64, and this is Linux on riscv64\n"
    assert capsys.readouterr().err == message


def test_the_versions_are_those_of_the_project() -> None:
    lines = machine.WHEELS.read_text().splitlines()
    for requirement in REQUIREMENTS:
        assert any(line.startswith(f"{requirement.package}=={requirement.pin} --hash=sha256:") for line in lines)
