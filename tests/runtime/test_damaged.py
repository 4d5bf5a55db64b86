"""Artifacts that must not run: damaged, of another version, for another machine."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest

from lascompile.cli.main import main
from lascompile.cpu import processor
from lascompile.errors import ArtifactError, DeviceError
from lascompile.runtime.artifact import load

AGAIN = "build the artifact again"
OTHER = "aarch64" if processor() == "x86_64" else "x86_64"


def refused(folder, error, says, capsys):
    """Loading says one line, and so does the command line, with the error's exit code."""
    with pytest.raises(error) as caught:
        load(folder, 1)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert main(["run", str(folder), "--threads", "1"]) == error.exit_code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"lascompile: error: {' '.join(message.split())}\n")


def test_exit_codes():
    assert (ArtifactError.exit_code, DeviceError.exit_code) == (6, 5)


def test_the_copy_is_sound_before_it_is_damaged(damaged, edit_manifest):
    edit_manifest(lambda stored: None)
    load(damaged, 1)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def alter(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, alter])
@pytest.mark.parametrize("which", ["library", "constants"])
def test_a_damaged_file(damaged, which, damage, capsys):
    path = file_of(damaged, which)
    damage(path)
    refused(damaged, ArtifactError, f"{path} is damaged: its checksum is not the manifest's; {AGAIN}", capsys)


@pytest.mark.parametrize("which", ["library", "constants"])
def test_a_missing_file(damaged, which, capsys):
    path = file_of(damaged, which)
    path.unlink()
    refused(damaged, ArtifactError, f"{path} is missing; {AGAIN}", capsys)


def file_of(folder, which):
    if which == "constants":
        return folder / "constants.bin"
    (path,) = folder.glob("model-*.so")
    return path


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_library_that_the_loader_refuses(damaged, edit_manifest, content, capsys):
    path = file_of(damaged, "library")
    path.write_bytes(content)
    edit_manifest(lambda stored: stored["files"].update({path.name: hashlib.sha256(path.read_bytes()).hexdigest()}))
    refused(damaged, ArtifactError, f"{path} cannot be loaded (", capsys)


def test_constants_that_are_too_short(damaged, edit_manifest, capsys):
    path = file_of(damaged, "constants")
    truncate(path)
    edit_manifest(lambda stored: stored["files"].update({path.name: hashlib.sha256(path.read_bytes()).hexdigest()}))
    refused(damaged, ArtifactError, "the manifest is damaged (a stored tensor[", capsys)


def test_a_workspace_that_is_too_small(damaged, edit_manifest, capsys):
    edit_manifest(lambda stored: stored.update(workspace_bytes=64))
    refused(damaged, ArtifactError, "manifest.json is damaged (workspace[0] lies at byte 0 of 64)", capsys)


@pytest.mark.parametrize("content", [b"", b"{", b"cut", b"[]", b"3", b"null", b"{}", b"\xff\xfe", b"not JSON"])
def test_a_manifest_that_is_none(damaged, content, capsys):
    path = damaged / "manifest.json"
    path.write_bytes(path.read_bytes()[:-200] if content == b"cut" else content)
    refused(damaged, ArtifactError, f"{path} is damaged (", capsys)


def test_no_manifest(damaged, capsys):
    (damaged / "manifest.json").unlink()
    refused(damaged, ArtifactError, f"{damaged} is not an artifact: it has no manifest.json; make one", capsys)


def test_no_folder(tmp_path, capsys):
    refused(tmp_path / "none.lasc", ArtifactError, "none.lasc is not an artifact: it has no manifest.json", capsys)


@pytest.mark.parametrize("schema", [0, 1, 2, "3", None])
def test_another_schema(damaged, edit_manifest, schema, capsys):
    edit_manifest(lambda stored: stored.update(schema=schema))
    refused(damaged, ArtifactError, f"{damaged} has manifest schema {schema!r}, this version reads 3; {AGAIN}", capsys)


def test_another_version(damaged, edit_manifest, capsys):
    edit_manifest(lambda stored: stored["versions"].update(lascompile="0.0.7"))
    refused(damaged, ArtifactError, f"{damaged} was built by lascompile 0.0.7, this is ", capsys)


def test_another_architecture(edit_manifest, capsys):
    folder = edit_manifest(lambda stored: stored["target"].update(mtriple=f"{OTHER}-linux-gnu"))
    says = f"{folder} was built for {OTHER}, but this machine is {processor()}"
    refused(folder, DeviceError, says, capsys)


def test_another_kind_of_target(edit_manifest, capsys):
    folder = edit_manifest(lambda stored: stored.update(target={"kind": "cuda", "arch": "sm_70"}))
    refused(folder, DeviceError, f"{folder} was built for cuda, but this machine is {processor()}", capsys)


def test_features_that_this_cpu_lacks(edit_manifest, capsys):
    lacking = ["sve2"] if processor() == "x86_64" else ["avx2"]
    folder = edit_manifest(lambda stored: stored["target"].update(mcpu="next", features=lacking))
    says = f"{folder} was built for next, but this CPU lacks {lacking[0]}; build it here, or with --mcpu for the oldest"
    refused(folder, DeviceError, says, capsys)


def test_a_refused_folder_is_left_alone(damaged, edit_manifest, capsys):
    edit_manifest(lambda stored: stored.update(schema=4))
    before = {path.name: path.read_bytes() for path in damaged.iterdir()}
    refused(damaged, ArtifactError, "schema 4", capsys)
    assert {path.name: path.read_bytes() for path in damaged.iterdir()} == before
    assert json.loads(before["manifest.json"])["schema"] == 4


def test_a_manifest_of_another_artifact(damaged, built, capsys):
    """Its library has another name."""
    path = file_of(damaged, "library")
    path.rename(damaged / "model-0123456789ab.so")
    shutil.copy(built / "manifest.json", damaged)
    refused(damaged, ArtifactError, f"{path} is missing", capsys)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_library_that_is_cut_off(damaged, edit_manifest, kept, capsys):
    """Even with its checksum adjusted: what the loader maps and the file lacks would end the process."""
    path = file_of(damaged, "library")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    edit_manifest(lambda stored: stored["files"].update({path.name: hashlib.sha256(path.read_bytes()).hexdigest()}))
    code = f"from lascompile.runtime.artifact import load; load({str(damaged)!r}, 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), "not a signal"  # what is behind the last segment is not needed
    assert done.returncode == 0 or "ArtifactError" in done.stderr


def test_shapes_that_the_library_does_not_take(edit_manifest, image, capsys):
    """Only where the manifest's checksum was adjusted too."""

    def reshape(stored):
        first = stored["workspace"][0]
        first["shape"] = [*first["shape"], 1]

    folder = edit_manifest(reshape)
    with pytest.raises(ArtifactError, match="library does not take what its manifest says"):
        load(folder, 1).run(image)


def test_a_manifest_with_one_other_digit(damaged, capsys):
    path = damaged / "manifest.json"
    path.write_text(path.read_text().replace('"threads": 2', '"threads": 3'))
    refused(damaged, ArtifactError, f"{path} is damaged (its checksum is not that of what it says); {AGAIN}", capsys)
