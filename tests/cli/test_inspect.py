"""`lascompile inspect`: what a reader, a pipe and a program see of a model and of an artifact."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from lascompile.cli.main import main
from lascompile.manifest import CONSTANTS_NAME, MANIFEST_NAME, Manifest, StepSpec, TensorSpec, sha256
from lascompile.report.inspection import inspect_model
from lascompile.verify.outcome import BlockOutcome, Verification
from tests.analysis.networks import Builder, Form, masked_network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two masked blocks."""
    path = tmp_path / "masked.onnx"
    onnx.save(masked_network(Form(blocks=2)), path)
    return path


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A block without a mask."""
    build = Builder()
    x = build.add("Relu", build.conv("x", 3, 8, 3, "stem"))
    branch = build.conv(build.add("Relu", build.conv(x, 8, 8, 3, "layer1.0.conv1")), 8, 8, 3, "layer1.0.conv2")
    path = tmp_path / "static.onnx"
    onnx.save(build.model([1, 3, 12, 12], build.add("Add", x, branch)), path)
    return path


@pytest.fixture
def artifact(model: Path, tmp_path: Path) -> Path:
    """A folder that `build` could have written; its library is never opened."""
    inspection = inspect_model(model)
    folder = tmp_path / "m.lasc"
    folder.mkdir()
    (folder / "model.so").write_bytes(b"no library at all")
    (folder / CONSTANTS_NAME).write_bytes(bytes(2_000_000))
    manifest = Manifest(
        versions={"lascompile": "0.1.0", "tvm": "0.27.0"},
        onnx={"name": model.name, "sha256": "0123456789abcdef" * 4},
        target={"kind": "llvm", "mcpu": "znver3", "mtriple": "x86_64-linux-gnu", "features": [], "vector_bits": 256},
        threads=2,
        inputs=[TensorSpec("x", (1, 3, 12, 12), "float32")],
        outputs=[TensorSpec("y", (1, 5, 12, 12), "float32")],
        masks=[],
        blocks=inspection.blocks,
        flops=inspection.flops,
        dense_operators=[],
        input_views=[],
        output_views=[],
        constants=[],
        workspace=[],
        workspace_bytes=0,
        steps=[],
        library="model.so",
        files={name: sha256(folder / name) for name in ("model.so", CONSTANTS_NAME)},
    )
    (folder / MANIFEST_NAME).write_text(manifest.to_json())
    return folder


def write(artifact: Path, **fields: Any) -> None:
    """Change what a manifest says."""
    manifest = replace(Manifest.read(artifact), **fields)
    (artifact / MANIFEST_NAME).write_text(manifest.to_json())


class Printed:
    """What a command left: exit code, standard output, standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.code = main(["inspect", *map(str, arguments)])
        self.out, self.err = capsys.readouterr()

    @property
    def rows(self) -> list[str]:
        """The lines of the first table."""
        return [line for line in self.out.splitlines() if line.startswith("layer")]


def test_a_row_for_each_block(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, model)
    assert printed.code == 0
    assert [row.split()[:4] for row in printed.rows] == [
        ["layer1.0", "bottleneck", "4", "8×12×12"],
        ["layer1.1", "bottleneck", "4", "8×12×12"],
    ]
    assert all("mask+1, mask, mask" in row for row in printed.rows)
    assert printed.out.startswith(f"{model}: x [1, 3, 12, 12] → y [1, 5, 12, 12]\n")
    assert "All 2 blocks skip work where the mask is off." in printed.out
    assert "mask+1: where the mask is on, and 1 pixel around that" in printed.out


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_lost_or_broken_in_a_narrow_window(
    model: Path, static: Path, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for path in (model, static):
        printed = Printed(capsys, path, "--convolutions")
        assert max(map(len, printed.out.splitlines()[1:])) <= columns
        assert "…" not in printed.out


def test_a_pipe_gets_whole_lines_without_colours(static: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, static)
    assert "\x1b" not in printed.out
    assert "layer1.0: no mask multiplies this branch\n" in printed.out
    assert (
        "  what to do: train the network with a masker in this block (a LASNet), and export it in eval mode\n"
        in printed.out
    )
    assert "0 of 1 blocks skip work" in printed.out


def test_each_convolution(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row.split() for row in Printed(capsys, model, "--convolutions").out.splitlines() if row.startswith("  ")]
    assert rows[0][:5] == ["conv1", "branch", "1×1", "8→4", "mask+1"]
    assert rows[3][:5] == ["masker.conv2", "masker", "1×1", "8→2", "everywhere"]


def test_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(Printed(capsys, model, "--json").out)
    assert report["schema"] == 1
    assert report["inputs"] == [{"name": "x", "shape": [1, 3, 12, 12]}]
    assert [block["name"] for block in report["blocks"]] == ["layer1.0", "layer1.1"]
    block = report["blocks"][0]
    assert {"name", "kind", "granularity", "dynamic", "reason", "advice", "shape", "mask", "convolutions"} <= set(block)
    assert (block["granularity"], block["dynamic"], block["fill"]) == (4, True, "the residual")
    assert block["convolutions"][1]["kernel"] == [3, 3]
    assert report["flops"]["dense"] > report["flops"]["at_rate"]
    assert report["flops"]["activation_rate"] == 0.5


@pytest.mark.parametrize(("rate", "share"), [("0", 0), ("1", 1)])
def test_activation_rate(model: Path, rate: str, share: float, capsys: pytest.CaptureFixture[str]) -> None:
    flops = json.loads(Printed(capsys, model, "--json", "--activation-rate", rate).out)["flops"]
    assert flops["activation_rate"] == float(rate)
    assert flops["parts"]["branch"]["at_rate"] == share * flops["parts"]["branch"]["dense"]


def test_activation_rates_out_of_range(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, model, "--activation-rate", "1.5")
    assert (printed.code, printed.err) == (
        2,
        "lascompile: error: --activation-rate 1.5: a share of the patches is needed, between 0 and 1\n",
    )


def test_require_dynamic(model: Path, static: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Printed(capsys, model, "--require-dynamic").code == 0
    printed = Printed(capsys, static, "--require-dynamic")
    assert printed.code == 3
    assert "no mask multiplies this branch" in printed.out
    assert printed.err == (
        "lascompile: error: --require-dynamic: 1 of 1 blocks stay dense: layer1.0; lascompile inspect says why\n"
    )


def test_a_model_without_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = Builder()
    path = tmp_path / "plain.onnx"
    onnx.save(build.model([1, 3, 8, 8], build.add("Relu", build.conv("x", 3, 4, 3, "conv"))), path)
    printed = Printed(capsys, path, "--require-dynamic")
    assert printed.code == 3
    assert "No residual block and no mask was found." in printed.out
    assert "--require-dynamic: the model has no masked block" in printed.err


def test_operators_that_build_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = Builder()
    path = tmp_path / "odd.onnx"
    onnx.save(build.model([1, 3, 8, 8], build.add("Det", build.conv("x", 3, 4, 3, "conv"), name="odd")), path)
    printed = Printed(capsys, path)
    assert printed.code == 0
    assert "Not supported, so that build refuses the model: Det (odd)\n" in printed.out
    assert json.loads(Printed(capsys, path, "--json").out)["unsupported"] == {"Det": ["odd"]}


def test_shapes_that_the_file_leaves_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = Builder()
    path = tmp_path / "dynamic.onnx"
    onnx.save(build.model(["N", 3, "H", "W"], build.add("Relu", build.conv("x", 3, 4, 3, "conv"))), path)
    assert Printed(capsys, path).code == 2
    printed = Printed(capsys, path, "--shape", "x=2,3,16,24")
    assert printed.code == 0
    assert "x [2, 3, 16, 24] → y [2, 4, 16, 24]" in printed.out


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, tmp_path / "m.onnx")
    assert (printed.code, printed.out) == (2, "")
    assert printed.err.endswith("m.onnx: no such file; give the ONNX file that PyTorch exported\n")


def test_an_artifact_tells_what_was_built(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, artifact)
    assert printed.code == 0
    assert printed.out.splitlines()[:6] == [
        f"artifact:   {artifact}: x [1, 3, 12, 12] → y [1, 5, 12, 12]",
        "built from: masked.onnx (SHA-256 0123456789abcdef…)",
        "built with: lascompile 0.1.0, tvm 0.27.0",
        "built for:  llvm, znver3 (x86_64-linux-gnu, vectors of 256 bits), 2 threads",
        "files:      model.so (0.0 MB), constants.bin (2.0 MB)",
        "verified:   not by build (see --verify)",
    ]
    assert len(printed.rows) == 2
    assert "All 2 blocks skip work" in printed.out


def test_an_artifact_tells_how_far_it_is_from_onnxruntime(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = (
        BlockOutcome("layer1.0", 3e-6, {}),
        BlockOutcome("layer1.1", 1e-7, {}, "fast differed by much"),
    )
    write(artifact, verification=Verification(1e-4, 2.2e-5, 13, blocks).to_dict())
    printed = Printed(capsys, artifact)
    assert (
        "\nverified:   13 cases agree with onnxruntime; largest error 2.2e-05 of the output's range (allowed: 1e-04); "
        "1 of 2 parts fell back to direct\nlayer1.1: computed directly, since fast differed by much\n"
    ) in printed.out
    assert [row.split()[-1] for row in printed.rows if "bottleneck" in row] == ["3.0e-06", "1.0e-07"]


def test_an_artifact_tells_what_computes_each_convolution(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidates = ({"algorithm": "fast", "cost": 8.1e-4, "source": "predicted"},)
    steps = [StepSpec("conv1x1", "/conv1/Conv", "layer1.0", "conv", True, algorithm="fast", candidates=candidates)]
    write(artifact, steps=steps)
    row = "layer1.0 /conv1/Conv fast fast 810 µs (predicted)"
    shown = [" ".join(line.split()) for line in Printed(capsys, artifact, "--convolutions").out.splitlines()]
    assert shown.count(row) == 1
    assert "build --plan" in shown[-1]
    assert row not in [" ".join(line.split()) for line in Printed(capsys, artifact).out.splitlines()]


def test_an_artifact_as_json_is_its_manifest(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, artifact, "--json")
    assert json.loads(printed.out) == {"kind": "artifact", **json.loads((artifact / MANIFEST_NAME).read_text())}


def test_options_that_an_artifact_has_no_use_for(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, artifact, "--activation-rate", "0.3")
    assert printed.code == 2
    assert "--activation-rate is for ONNX files" in printed.err


def test_a_damaged_artifact(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (artifact / "model.so").write_bytes(b"something else")
    printed = Printed(capsys, artifact)
    assert printed.code == 6
    assert "model.so is damaged" in printed.err


@pytest.mark.parametrize("names", [["model.so"], ["model.so", CONSTANTS_NAME]])
def test_files_that_are_gone_leave_the_manifest_to_read(
    names: list[str], artifact: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names:
        (artifact / name).unlink()
    paths = " and ".join(str(artifact / name) for name in names)
    warning = f"lascompile: warning: without {paths} the artifact cannot run; build it again\n"
    printed = Printed(capsys, artifact)
    assert (printed.code, printed.err) == (0, warning)
    assert "model.so (missing)" in printed.out
    assert len(printed.rows) == 2
    printed = Printed(capsys, artifact, "--json")
    assert (printed.code, printed.err) == (0, warning)
    assert json.loads(printed.out)["library"] == "model.so"


def test_a_folder_that_is_no_artifact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(capsys, tmp_path)
    assert printed.code == 6
    assert "is not an artifact" in printed.err


def test_neither_tvm_nor_torch_is_imported(model: Path, artifact: Path) -> None:
    program = """
import sys
from lascompile.cli.main import main
codes = [main(["inspect", path]) for path in sys.argv[1:]]
loaded = {"tvm", "tvm_ffi", "torch"} & sys.modules.keys()
assert codes == [0, 0] and not loaded, (codes, loaded)
"""
    command = [sys.executable, "-c", program, str(model), str(artifact)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
