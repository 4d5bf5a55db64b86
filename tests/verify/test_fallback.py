"""`build --verify`: errors by block, and what falls back where they are too large."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lascompile.cli.main import main
from lascompile.compile import build
from lascompile.cpu import processor
from lascompile.errors import DeviceError, LascompileError
from lascompile.verify import CaseResult, VerifyReport, fallback
from tests import fast_algorithm
from tests.masked_nets import masked_network


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks, block1 and block2, between a stem and a classifier."""
    path = tmp_path_factory.mktemp("fallback") / "m.onnx"
    onnx.save(masked_network(head=True, size=8), path)
    return path


@pytest.fixture
def here(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, from which m.onnx can be read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").write_bytes(model.read_bytes())
    return tmp_path


def spoil(model: Path, node: str, factor: float) -> fast_algorithm.Spoil:
    """Multiply the weights of one convolution."""
    stored = next(tensor for tensor in onnx.load(model).graph.initializer if tensor.name == f"{node}.w")
    weight = numpy_helper.to_array(stored)
    return lambda packed: packed * np.float32(factor) if np.array_equal(packed, weight) else packed


def outcomes(verification: Any) -> dict[str, Any]:
    return {block["name"]: block for block in verification["blocks"]}


def algorithms(block: Any) -> set[str]:
    return set(block["algorithms"].values())


def test_a_sound_build_keeps_its_algorithms(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast_algorithm.install(monkeypatch)
    told: list[tuple[str, float]] = []
    artifact = build("m.onnx", threads=1, verify=True, progress=lambda *now: told.append(now))
    found = artifact.manifest.verification
    assert found is not None
    assert list(outcomes(found)) == ["block1", "block2", "outside blocks"]
    for block in found["blocks"]:
        assert algorithms(block) == {"fast"}
        assert block["fallback"] is None
        assert 0 <= block["error"] < 1e-5
    assert 0 < found["error"] < 1e-5
    assert found["tolerance"] == 1e-4
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert told[-1] == ("done", 1.0)
    assert [phase for phase, _ in told].count("done") == 1


def test_the_build_as_it_comes_is_sound(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "m.onnx", "--threads", "1", "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["verification"]
    assert [block["fallback"] for block in found["blocks"]] == [None] * 3
    assert found["error"] < 1e-4


def test_a_block_that_errs_too_much_is_computed_directly(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast_algorithm.install(monkeypatch, spoil(here / "m.onnx", "b1.conv2", 1.01))
    assert main(["build", "m.onnx", "--threads", "1", "--verify"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\nblock2: computed directly, since fast differed by " in out
    assert " of the output's range (allowed: 1e-04)\n" in out
    assert "; 1 of 3 parts fell back to direct\n" in out

    manifest = json.loads((here / "m.lasc" / "manifest.json").read_text())
    found = outcomes(manifest["verification"])
    assert {name: algorithms(block) for name, block in found.items()} == {
        "block1": {"fast"},
        "block2": {"direct"},
        "outside blocks": {"fast"},
    }
    assert [name for name, block in found.items() if block["fallback"]] == ["block2"]
    assert found["block2"]["error"] < 1e-5  # of what is built, not of what was refused
    assert sorted(path.name for path in here.iterdir()) == ["m.lasc", "m.onnx"]

    assert main(["inspect", "m.lasc"]) == 0
    shown = capsys.readouterr().out
    assert "\nverified:   " in shown
    assert "\nblock2: computed directly, since fast differed by " in shown


def test_so_is_one_that_is_not_finite(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast_algorithm.install(monkeypatch, spoil(here / "m.onnx", "b0.conv2", np.nan))
    found = build("m.onnx", threads=1, verify=True).manifest.verification
    assert found is not None
    block = outcomes(found)["block1"]
    assert block["fallback"] == "fast gave numbers that are not finite where onnxruntime's are"
    assert algorithms(block) == {"direct"}


def test_and_what_is_in_no_block(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast_algorithm.install(monkeypatch, spoil(here / "m.onnx", "stem", 1.01))
    found = build("m.onnx", threads=1, verify=True).manifest.verification
    assert found is not None
    assert [name for name, block in outcomes(found).items() if block["fallback"]] == ["outside blocks"]


def report(error: float) -> VerifyReport:
    case = CaseResult("natural-like 1", "natural", error, failures=[f"output 'logits' differs by {error}"])
    return VerifyReport("m.lasc", "m.onnx", 1e-4, 1e-5, [case], [])


@pytest.mark.parametrize(("error", "fallen"), [(2e-4, 1), (0.0, 3)])
def test_if_only_the_network_differs_the_worst_block_falls_back_first(
    here: Path, monkeypatch: pytest.MonkeyPatch, error: float, fallen: int
) -> None:
    """And all at once, if the size of errors is not what is wrong."""
    fast_algorithm.install(monkeypatch, spoil(here / "m.onnx", "b1.conv2", 1 + 1e-5))
    verify = fallback.verify

    def differs_while_block2_is_fast(artifact: Any, *arguments: Any, **options: Any) -> VerifyReport:
        used = {step.algorithm for step in artifact.manifest.steps if step.node == "b1.conv2"}
        return report(error) if "fast" in used else verify(artifact, *arguments, **options)

    monkeypatch.setattr(fallback, "verify", differs_while_block2_is_fast)
    found = build("m.onnx", threads=1, verify=True).manifest.verification
    assert found is not None
    reasons = {name: block["fallback"] for name, block in outcomes(found).items() if block["fallback"]}
    assert len(reasons) == fallen
    assert reasons["block2"] == (
        f"with fast here the network differed: natural-like 1: output 'logits' differs by {error}"
    )


def test_a_network_that_differs_anyway_is_not_written(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback, "verify", lambda *arguments, **options: report(0.5))
    assert main(["build", "m.onnx", "--threads", "1", "--numerics", "exact", "--verify"]) == LascompileError.exit_code
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        "lascompile: error: --verify: m.onnx differs from onnxruntime with every convolution computed directly, so no "
        "artifact was written: natural-like 1: output 'logits' differs by 0.5\n",
    )
    assert [path.name for path in here.iterdir()] == ["m.onnx"]


def test_what_cannot_run_here_cannot_be_verified(here: Path) -> None:
    other, mcpu = ("aarch64", "cortex-a72") if processor() == "x86_64" else ("x86_64", "haswell")
    says = f"^--verify runs what it builds, but this machine is {processor()} and the target {other}; build without it"
    with pytest.raises(DeviceError, match=says):
        build("m.onnx", target=f"llvm -mtriple={other}-linux-gnu", mcpu=mcpu, verify=True)
    assert [path.name for path in here.iterdir()] == ["m.onnx"]
