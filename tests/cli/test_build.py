"""`lascompile build`, through the command line's own entry."""

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from lascompile.cli.main import main
from lascompile.errors import ToolchainError
from lascompile.runtime.artifact import load
from lascompile.toolchain import linker
from tests.masked_nets import Network, masked_network

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with m.onnx and its artifact m.lasc."""
    folder = tmp_path_factory.mktemp("build")
    onnx.save(masked_network(head=True, blocks=1), folder / "m.onnx")
    assert main(["build", str(folder / "m.onnx"), "--threads", "1"]) == 0
    return folder


@pytest.fixture
def here(built, tmp_path, monkeypatch):
    """The current folder, with copies of what was built."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(built / "m.onnx", tmp_path)
    shutil.copytree(built / "m.lasc", tmp_path / "m.lasc")
    return tmp_path


def dense_network():
    """Two convolutions without a mask."""
    net = Network(size=8)
    x = net.add("Relu", [net.conv("x", "stem", (3, 8), 3)], "relu")
    return net.model(net.conv(x, "conv", (8, 8), 3), [1, 8, 8, 8])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def is_whole(artifact):
    """Whether the folder holds what an artifact consists of, and nothing else."""
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert set(manifest["files"]) == {"constants.bin", manifest["library"]}
    return names(artifact) == sorted([*manifest["files"], "manifest.json"])


def error_of(capsys, code, *arguments):
    """The one line that `build` fails with."""
    assert main(["build", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lascompile: error: ")
    assert len(err.splitlines()) == 1
    return err.removeprefix("lascompile: error: ").rstrip()


def test_the_artifact_is_a_folder_beside_the_model(built):
    assert names(built) == ["m.lasc", "m.onnx"]
    assert is_whole(built / "m.lasc")


def test_the_manifest_says_what_was_built(built):
    manifest = json.loads((built / "m.lasc" / "manifest.json").read_text())
    assert manifest["schema"] == 3
    assert manifest["onnx"] == {"name": "m.onnx", "sha256": hashlib.sha256((built / "m.onnx").read_bytes()).hexdigest()}
    assert manifest["inputs"] == [{"name": "x", "shape": [1, 3, 16, 16], "dtype": "float32"}]
    assert manifest["outputs"] == [{"name": "logits", "shape": [1, 10], "dtype": "float32"}]
    assert manifest["threads"] == 1
    (block,) = manifest["blocks"]
    assert block["dynamic"]
    assert block["mask"] == manifest["masks"][0]["name"] == "m0"


def test_nothing_is_bound_to_this_machines_paths(built):
    for file in (built / "m.lasc").iterdir():
        assert str(built).encode() not in file.read_bytes(), file.name


def test_it_runs_where_it_was_moved_to(here):
    image = np.ones((1, 3, 16, 16), np.float32)
    (before,) = load("m.lasc", 1).run(image)
    (here / "elsewhere").mkdir()
    shutil.move("m.lasc", "elsewhere/other")
    (after,) = load("elsewhere/other", 1).run(image)
    assert (before == after).all()


def test_the_summary(here, capsys):
    assert main(["build", "m.onnx", "-o", "new.lasc", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("new.lasc: 1 of 1 blocks dynamic, 0.")
    assert err == ""


def test_json_summary_of_a_rebuild(here, capsys):
    assert main(["build", "m.onnx", "--threads", "1", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["schema"], summary["artifact"], summary["blocks"], summary["dynamic"]) == (1, "m.lasc", 1, 1)
    assert summary["bytes"] == sum(path.stat().st_size for path in (here / "m.lasc").iterdir())
    assert names(here) == ["m.lasc", "m.onnx"]
    assert is_whole(here / "m.lasc")


def test_a_dynamic_shape_is_given(here, capsys):
    model = masked_network(head=True, blocks=1)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(model, "n.onnx")
    assert error_of(capsys, 2, "n.onnx").startswith("input 'x' has the dynamic shape nx3x16x16; name a static one")
    assert main(["build", "n.onnx", "--shape", "x=2,3,16,16", "--threads", "1"]) == 0
    assert load("n.lasc", 1).manifest.inputs[0].shape == (2, 3, 16, 16)


def test_require_dynamic_refuses_a_dense_network(here, capsys):
    onnx.save(dense_network(), "dense.onnx")
    assert error_of(capsys, 3, "dense.onnx", "--require-dynamic").startswith("--require-dynamic: ")
    assert main(["build", "dense.onnx", "--threads", "1"]) == 0
    assert capsys.readouterr().out.startswith("dense.lasc: 0 of 0 blocks dynamic")


BAD_MODELS = {
    "missing.onnx": (None, 2, "no such file; give the ONNX file that PyTorch exported"),
    "empty.onnx": (b"", 3, "the file is empty; export the model again"),
    "text.onnx": (b"hello", 3, "not an ONNX file; give the one that PyTorch exported"),
    "image.onnx": (
        b"\x89PNG\r\n\x1a\n",
        3,
        "not an ONNX file but a PNG image; give the ONNX file that PyTorch exported",
    ),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_what_is_no_model(here, capsys, name):
    content, code, says = BAD_MODELS[name]
    if content is not None:
        (here / name).write_bytes(content)
    assert error_of(capsys, code, name).startswith(f"{name}: {says}")
    assert not (here / name).with_suffix(".lasc").exists()


def test_a_model_that_was_cut_off(here, capsys):
    path = here / "m.onnx"
    path.write_bytes(path.read_bytes()[:-1000])
    says = error_of(capsys, 3, "m.onnx", "-o", "cut.lasc")
    assert says.startswith("m.onnx: the ONNX file is damaged or cut off (it has ")
    assert names(here) == ["m.lasc", "m.onnx"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--threads", "0"], 2, "--threads is 0, but at least 1 is needed"),
        (["--shape", "16"], 2, "--shape 16: expected NAME=N,C,H,W, as in --shape input=1,3,224,224"),
        (["--shape", "y=1,3,16,16"], 2, "--shape names 'y', but the model's inputs are x"),
        (["-o", "missing/m.lasc"], 2, "missing is not a folder; make it, or give another place with -o"),
        (["-o", "m.onnx"], 2, "m.onnx exists and is not an artifact; remove it, or give another place with -o"),
        (["-o", "."], 2, ". exists and is not an artifact; remove it, or give another place with -o"),
        (["--target", "cuda -arch=sm_70"], 5, "target cuda -arch=sm_70 is known, but code is generated for CPUs only"),
        (["--target", "cuda", "-arch=sm_70"], 5, "target cuda -arch=sm_70 is known, but code is generated"),
        (["--target", "cuda", "-arch=v100,8.7"], 5, "target cuda -arch=sm_70,sm_87 is known"),
        (["--target", "cuda"], 2, "target 'cuda' names no GPU architecture: write it as 'cuda -arch=sm_70'"),
        (["--target", "llvm", "-mcpu=z80"], 2, "CPU 'z80': LLVM knows none of that name"),
        (["--target", "abacus"], 2, "target 'abacus': no such kind 'abacus'"),
        (["--mcpu", "z80"], 2, "CPU 'z80': LLVM knows none of that name"),
    ],
)
def test_arguments_that_do_not_fit(here, capsys, arguments, code, says):
    assert error_of(capsys, code, "m.onnx", *arguments).startswith(says)
    assert names(here) == ["m.lasc", "m.onnx"]


def test_a_place_that_cannot_be_written_is_named_as_given(here, capsys, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "no", str(path))

    monkeypatch.setattr("lascompile.files.whole_folder.Path.mkdir", refuse)
    assert error_of(capsys, 1, "m.onnx", "-o", "new.lasc") == "new.lasc: permission denied"


@pytest.mark.parametrize("output", ["m.lasc", "new.lasc"])
def test_a_failure_leaves_what_was_there(here, capsys, monkeypatch, output):
    def broken(*_args, **_kwargs):
        raise ToolchainError("the linker failed")

    before = {path.name: path.read_bytes() for path in (here / "m.lasc").iterdir()}
    monkeypatch.setattr("lascompile.artifact_writer.write.link_function", lambda mtriple: broken)
    assert error_of(capsys, 4, "m.onnx", "-o", output).endswith("the linker failed")
    assert names(here) == ["m.lasc", "m.onnx"]
    assert {path.name: path.read_bytes() for path in (here / "m.lasc").iterdir()} == before


def test_a_full_disk_is_named_and_leaves_nothing(here, capsys, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lascompile.artifact_writer.write._write_constants", full)
    assert error_of(capsys, 1, "m.onnx", "-o", "new.lasc") == "new.lasc: the disk is full"
    assert names(here) == ["m.lasc", "m.onnx"]


def test_a_full_disk_in_the_linker_is_no_fault_of_the_linker(here, capsys, monkeypatch):
    """A linker that says in its own words why it failed."""
    real = subprocess.run

    def run(command, **options):
        if "-shared" in command:
            words = "/usr/bin/ld: final link failed: No space left on device"
            return subprocess.CompletedProcess(command, 1, "", words)
        return real(command, **options)

    monkeypatch.setattr(linker.subprocess, "run", run)
    assert error_of(capsys, 1, "m.onnx", "-o", "new.lasc").endswith("the disk is full")
    assert names(here) == ["m.lasc", "m.onnx"]


def run_limited(nbytes, *arguments, cwd):
    """`build` in a process that may write files of so many bytes."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, nbytes))

    return subprocess.run(
        [sys.executable, "-m", "lascompile", "build", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(cwd)},
        preexec_fn=limit,  # noqa: PLW1509 - no threads here
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_limit_on_file_sizes_is_one_line(here):
    """`ulimit -f`: LLVM would end the process where it cannot write."""
    done = run_limited(65536, "m.onnx", "-o", "new.lasc", cwd=here)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(": no file may become so large; raise the limit (ulimit -f)\n")
    assert done.stderr.count("\n") == 1
    assert names(here) == ["m.lasc", "m.onnx"]


def test_a_disk_that_is_nearly_full_is_one_line(here, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=False).returncode != 0:
        pytest.skip("may not mount a small disk")
    try:
        done = run_limited(2**40, here / "m.onnx", "-o", "new.lasc", cwd=disk)
        left = names(disk)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert (done.returncode, done.stdout, left) == (1, "", [])
    assert done.stderr.endswith(": the disk is full\n") and done.stderr.count("\n") == 1
