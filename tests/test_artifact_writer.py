"""Writing an artifact: all of it or nothing, whatever goes wrong and when."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from lascompile.artifact_writer import check_destination, write
from lascompile.codegen import signature_of
from lascompile.compile import build, build_artifact
from lascompile.errors import ToolchainError, UsageError
from lascompile.files import whole_folder
from lascompile.runtime.artifact import load
from tests.masked_nets import masked_network

IMAGE = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An ONNX file."""
    path = tmp_path_factory.mktemp("writer") / "m.onnx"
    onnx.save(masked_network(blocks=1, size=8), path)
    return path


@pytest.fixture(scope="module")
def good(model):
    """Its artifact."""
    return build_artifact(model, threads=1)


def contents(folder):
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def full_disk(*_args):
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt(*_args):
    raise KeyboardInterrupt


def broken_linker(*_args, **_kwargs):
    raise ToolchainError("c++ could not link the library: no message")


def quick_library(program, _target, path, link, on_kernel, _objects):
    """In the place of the compiler: a file."""
    on_kernel(1, 1)
    path.write_bytes(b"library")
    return signature_of(program)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(write, "build_library", quick_library)


def rename_fails_at(monkeypatch, turn, error):
    """The given rename from now on fails, before it has done anything."""
    real, calls = Path.rename, []

    def rename(self, target):
        calls.append(target)
        if len(calls) == turn:
            raise error
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)


def without_exchange(monkeypatch, turn, error):
    """As on a file system that cannot exchange two names; the given rename fails."""
    monkeypatch.setattr(whole_folder, "exchange", lambda first, second: False)
    rename_fails_at(monkeypatch, turn, error)


def exchange_fails(monkeypatch, error):
    def fail(_first, _second):
        raise error

    monkeypatch.setattr(whole_folder, "exchange", fail)


def say_fails(phase_begins):
    def say(phase, _share):
        if phase.startswith(phase_begins):
            raise KeyboardInterrupt

    return say


FAILURES = {
    "no linker": (lambda patch: patch.setattr(write, "link_function", broken_linker), ToolchainError),
    "the linker fails": (
        lambda patch: patch.setattr(write, "link_function", lambda mtriple: broken_linker),
        ToolchainError,
    ),
    "interrupted while linking": (
        lambda patch: patch.setattr(write, "link_function", lambda mtriple: interrupt),
        KeyboardInterrupt,
    ),
}
QUICK_FAILURES = {
    "disk full at the weights": (lambda patch: patch.setattr(np, "ascontiguousarray", full_disk), OSError),
    "disk full at the checksums": (lambda patch: patch.setattr(write, "sha256", full_disk), OSError),
    "disk full at the manifest": (lambda patch: patch.setattr(Path, "write_text", full_disk), OSError),
    "interrupted at the manifest": (lambda patch: patch.setattr(Path, "write_text", interrupt), KeyboardInterrupt),
    "the new one does not come": (lambda patch: exchange_fails(patch, PermissionError(13, "denied")), OSError),
    "interrupted before it comes": (lambda patch: exchange_fails(patch, KeyboardInterrupt()), KeyboardInterrupt),
    # The first rename gives the library its name, the second takes the old artifact away, the third puts the new one.
    "renames: the old artifact stays": (lambda patch: without_exchange(patch, 2, PermissionError(13, "no")), OSError),
    "renames: the new one does not come": (
        lambda patch: without_exchange(patch, 3, PermissionError(13, "denied")),
        OSError,
    ),
    "renames: interrupted between the two": (
        lambda patch: without_exchange(patch, 3, KeyboardInterrupt()),
        KeyboardInterrupt,
    ),
}


def check_failure(model, good, tmp_path, prepare, error, fresh):
    """The build fails and the folder around the destination is as before."""
    destination = tmp_path / "m.lasc"
    if not fresh:
        destination.mkdir()
        for name, content in contents(good).items():
            (destination / name).write_bytes(content)
    before = contents(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch)
        with pytest.raises(error):
            build_artifact(model, destination, threads=1)
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ([] if fresh else ["m.lasc"])
    if not fresh:
        assert np.array_equal(load(destination, 1)(IMAGE), load(good, 1)(IMAGE))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failing_linker_leaves_nothing(model, good, tmp_path, failure):
    check_failure(model, good, tmp_path, *FAILURES[failure], fresh=failure == "no linker")


@pytest.mark.parametrize("failure", QUICK_FAILURES)
def test_a_failure_leaves_the_old_artifact(quick, model, good, tmp_path, failure):
    check_failure(model, good, tmp_path, *QUICK_FAILURES[failure], fresh=False)


@pytest.mark.parametrize("failure", [name for name in QUICK_FAILURES if "full" in name])
def test_a_failure_leaves_no_new_artifact(quick, model, good, tmp_path, failure):
    check_failure(model, good, tmp_path, *QUICK_FAILURES[failure], fresh=True)


@pytest.mark.parametrize("phase", ["reading", "lowering", "scheduling", "writing weights"])
def test_an_interrupt_leaves_nothing(quick, model, tmp_path, phase):
    with pytest.raises(KeyboardInterrupt):
        build_artifact(model, tmp_path / "new.lasc", threads=1, progress=say_fails(phase))
    assert list(tmp_path.iterdir()) == []


def test_what_is_replaced_is_gone(quick, model, tmp_path):
    folder = tmp_path / "m.lasc"
    folder.mkdir()
    older = {"schema": 1, "versions": {"lascompile": "0.1"}, "files": {"model-old.so": ""}, "library": "model-old.so"}
    (folder / "manifest.json").write_text(json.dumps(older))
    (folder / "model-old.so").touch()
    build_artifact(model, folder, threads=1)
    stored = json.loads((folder / "manifest.json").read_text())
    assert set(contents(folder)) == {"manifest.json", *stored["files"]}
    assert [path.name for path in tmp_path.iterdir()] == ["m.lasc"]


def test_others_may_read_it(quick, model, tmp_path):
    folder = build_artifact(model, tmp_path / "m.lasc", threads=1)
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_link_is_followed(quick, model, tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "m.lasc"
    link.symlink_to(tmp_path / "disk" / "m.lasc")
    for _ in range(2):
        assert build_artifact(model, link, threads=1) == link
        assert link.is_symlink()
        assert (tmp_path / "disk" / "m.lasc" / "manifest.json").is_file()


def test_a_destination_in_a_missing_folder(model, tmp_path):
    place = tmp_path / "none" / "m.lasc"
    with pytest.raises(UsageError) as caught:
        build_artifact(model, place)
    assert str(caught.value) == f"{place.parent} is not a folder; make it, or give another place with -o"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["file", "empty folder", "folder"])
def test_a_destination_that_is_something_else(model, tmp_path, what):
    place = tmp_path / "precious"
    if what == "file":
        place.write_text("keep me")
    else:
        place.mkdir()
    if what == "folder":
        (place / "thesis.tex").write_text("keep me")
    before = contents(tmp_path)
    with pytest.raises(UsageError) as caught:
        build_artifact(model, place)
    assert str(caught.value) == f"{place} exists and is not an artifact; remove it, or give another place with -o"
    assert place.exists()
    assert contents(tmp_path) == before


FOREIGN = {
    "a browser extension": '{"manifest_version": 3, "name": "mine"}',
    "no JSON": "once upon a time",
    "an empty object": "{}",
    "a schema alone": '{"schema": 2}',
    "a list": "[]",
    "versions of another program": '{"schema": 1, "versions": {"node": "20"}, "files": {}, "library": "x"}',
    "files that are no names": '{"schema": 1, "versions": {"lascompile": "1"}, "files": 3, "library": "x"}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("manifest", FOREIGN)
def test_a_folder_whose_manifest_is_not_ours_stays(model, tmp_path, manifest):
    place = tmp_path / "extension"
    (place / ".git").mkdir(parents=True)
    (place / ".git" / "HEAD").write_text("keep me")
    (place / "manifest.json").write_text(FOREIGN[manifest])
    before = contents(tmp_path)
    with pytest.raises(UsageError) as caught:
        build_artifact(model, place)
    assert str(caught.value) == f"{place} exists and is not an artifact; remove it, or give another place with -o"
    assert contents(tmp_path) == before


@pytest.mark.parametrize("added", ["notes.txt", "a folder", "a link"])
def test_a_file_that_is_not_the_artifacts_stays(good, model, tmp_path, added):
    place = shutil.copytree(good, tmp_path / "m.lasc")
    if added == "a folder":
        (place / added).mkdir()
    elif added == "a link":
        (place / added).symlink_to("nowhere")
    else:
        (place / added).write_text("keep me")
    before = contents(tmp_path)
    with pytest.raises(UsageError) as caught:
        build_artifact(model, place)
    assert str(caught.value) == (
        f"{place} is an artifact, but holds {added!r} too, which is none of its files; move it away, or give another "
        "place with -o"
    )
    assert contents(tmp_path) == before
    assert added in [path.name for path in place.iterdir()]


@pytest.mark.parametrize("atomic", [True, False], ids=["exchange", "renames"])
@pytest.mark.parametrize("when", ["before", "at the last moment"])
def test_a_file_that_comes_while_the_artifact_is_built_stays(
    quick, good, model, tmp_path, monkeypatch, when, atomic
):
    place = shutil.copytree(good, tmp_path / "m.lasc")
    real = whole_folder.exchange

    def exchange(first, second):
        if when == "at the last moment":
            (second / "notes.txt").write_text("keep me")
        return real(first, second) if atomic else False

    def say(phase, _share):
        if when == "before" and phase == "writing weights":
            (place / "notes.txt").write_text("keep me")

    monkeypatch.setattr(whole_folder, "exchange", exchange)
    with pytest.raises(UsageError, match=r"holds 'notes\.txt' too"):
        build_artifact(model, place, threads=1, progress=say)
    assert contents(place) == {**contents(good), "notes.txt": b"keep me"}
    assert [path.name for path in tmp_path.iterdir()] == ["m.lasc"]


def test_destinations_that_will_do(good, tmp_path):
    assert check_destination(tmp_path / "new") == tmp_path / "new"
    assert check_destination(good) == good


def test_building_twice_into_one_place_gives_the_second_model(tmp_path):
    """The system's loader takes two libraries of one path for the same: they must not share a name."""
    outputs, libraries = [], []
    for granularity in (4, 2):
        onnx.save(masked_network(blocks=1, size=8, granularity=granularity, seed=granularity), tmp_path / "m.onnx")
        artifact = build(tmp_path / "m.onnx", threads=1)
        outputs.append(artifact(IMAGE))
        libraries.append(artifact.manifest.library)
        assert artifact.manifest.masks[0].shape == (1, 1, 8 // granularity, 8 // granularity)
    assert libraries[0] != libraries[1]
    assert not np.array_equal(*outputs)
    assert np.array_equal(load(tmp_path / "m.lasc", 1)(IMAGE), outputs[1])


def test_weights_are_stored_aligned(good):
    stored = json.loads((good / "manifest.json").read_text())["constants"]
    assert stored
    assert all(tensor["offset"] % 64 == 0 for tensor in stored)
    ends = [tensor["offset"] + np.prod(tensor["shape"]) * np.dtype(tensor["dtype"]).itemsize for tensor in stored]
    assert all(end <= tensor["offset"] for end, tensor in zip(ends, stored[1:], strict=False))
    assert (good / "constants.bin").stat().st_size == ends[-1]
