"""An aarch64 machine in a folder: an emulator, and a Python with TVM's runtime for it to run.

Fetched once from Debian and PyPI, held against checksums, and unpacked without installing anything: no root, no
chroot, nothing outside the folder but pip's cache.
"""

from __future__ import annotations

import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = Path(__file__).with_name("packages.txt")
WHEELS = Path(__file__).with_name("wheels.txt")
MIRRORS = ("http://deb.debian.org/debian", "http://snapshot.debian.org/archive/debian/20261101T000000Z")
"""Debian's archive, and its memory, which keeps what the archive has dropped. Checksums, not HTTPS, tell what comes."""
PYTHON = "3.11"
PLATFORM = "manylinux_2_28_aarch64"

EMULATOR = "usr/bin/qemu-aarch64-static"
# Of the compiler's 280 MB the runtime alone, and what `find_spec` looks for.
PARTS_OF_WHEELS = {"apache_tvm-": ("tvm/__init__.py", "tvm/lib/libtvm_runtime.so")}


class Unavailable(Exception):
    """There can be no such machine here; the message says why, in one line."""


@dataclass(frozen=True)
class Machine:
    """Where it lies."""

    folder: Path

    def command(self, cpu: str, *arguments: str) -> list[str]:
        """Python under emulation of `cpu`, by QEMU's name."""
        root = self.folder / "root"
        python = root / "usr" / "bin" / f"python{PYTHON}"
        return [str(self.folder / EMULATOR), "-cpu", cpu, "-L", str(root), str(python), *arguments]

    def environment(self) -> dict[str, str]:
        """In which `lascompile` is that of this repository, and byte code is kept beside the machine."""
        return {"PYTHONPATH": str(REPOSITORY), "PYTHONPYCACHEPREFIX": str(self.folder / "pycache")}


def prepare(parent: Path = REPOSITORY / "build") -> Machine:
    """The machine, fetched into a folder in `parent` if it is not there yet.

    Raises:
        Unavailable: This is no x86-64 Linux, or something cannot be fetched.
    """
    here = f"{platform.system()} on {platform.machine()}"
    if here != "Linux on x86_64":
        raise Unavailable(f"aarch64 is emulated under Linux on x86_64, and this is {here}")
    folder = parent / f"aarch64-{_digest_of_pins()}"
    if not folder.exists():
        parent.mkdir(exist_ok=True)
        # Under its name there is a whole machine or none.
        with tempfile.TemporaryDirectory(prefix="aarch64-", dir=parent) as partial:
            _fill(Path(partial) / "machine")
            (Path(partial) / "machine").rename(folder)
    return Machine(folder)


def packages() -> dict[str, str]:
    """By path in Debian's archive, the SHA-256 of each package."""
    lines = (line.split() for line in PACKAGES.read_text().splitlines() if not line.startswith("#"))
    return {path: checksum for checksum, path in lines}


def _digest_of_pins() -> str:
    return hashlib.sha256(PACKAGES.read_bytes() + WHEELS.read_bytes()).hexdigest()[:12]


def _fill(folder: Path) -> None:
    root = folder / "root"
    site = root / "usr" / "lib" / "python3" / "dist-packages"
    site.mkdir(parents=True)
    unpack_wheels(site)
    for path, checksum in packages().items():
        package = fetch(path, checksum)
        if path.endswith("_arm64.deb"):
            unpack_package(package, root)
        else:  # that of the emulator, with emulators of thirty other processors
            unpack_package(package, folder, only=EMULATOR)


def fetch(path: str, checksum: str, mirrors: tuple[str, ...] = MIRRORS) -> bytes:
    """The package at `pool/path`, from the first of `mirrors` that has it.

    Raises:
        Unavailable: None has it, or it is another one.
    """
    failures = []
    for mirror in mirrors:
        try:
            with urllib.request.urlopen(f"{mirror}/pool/{path}", timeout=60) as response:
                content: bytes = response.read()
        except OSError as error:
            failures.append(f"{mirror}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() == checksum:
            return content
        failures.append(f"{mirror}: another checksum")
    raise Unavailable(f"cannot fetch {PurePosixPath(path).name} ({'; '.join(failures)})")


def unpack_package(package: bytes, folder: Path, only: str | None = None) -> None:
    """The files of a Debian package, or `only` one of them, into `folder`."""
    with tarfile.open(fileobj=io.BytesIO(_data_of(package))) as tar:
        # The packages are known by checksum; Pythons that have no filter yet do without.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        wanted = tar.getmembers() if only is None else [tar.getmember(f"./{only}")]
        tar.extractall(folder, [member for member in wanted if not _leads_out(member)])


def _leads_out(member: tarfile.TarInfo) -> bool:
    """True for absolute links (of configuration in `/etc`), which would lead to the host's files."""
    return member.linkname.startswith("/")


def _data_of(package: bytes) -> bytes:
    """The archive of files in a package, which is an `ar` archive: a header of 60 bytes before each member."""
    start = len(b"!<arch>\n")
    while start < len(package):
        name, size = package[start : start + 16], int(package[start + 48 : start + 58])
        start += 60
        if name.startswith(b"data.tar"):
            return package[start : start + size]
        start += size + size % 2
    raise ValueError("no Debian package: it has no data.tar")


def unpack_wheels(site: Path) -> None:
    """The packages of `wheels.txt` for aarch64, or the parts of them that are needed, into `site`.

    Raises:
        Unavailable: pip cannot fetch them.
    """
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        chosen = ["--only-binary=:all:", f"--platform={PLATFORM}", f"--python-version={PYTHON}"]
        files = ["--require-hashes", f"--requirement={WHEELS}", f"--dest={folder}"]
        done = subprocess.run([*download, *chosen, *files], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise Unavailable(f"pip cannot fetch wheels for aarch64 ({reason})")
        for path in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(path) as wheel:
                parts = [names for prefix, names in PARTS_OF_WHEELS.items() if path.name.startswith(prefix)]
                wheel.extractall(site, parts[0] if parts else None)


def main() -> int:
    """Prepare the machine; 1 and a line on stderr if there can be none."""
    try:
        prepare()
    except Unavailable as reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
