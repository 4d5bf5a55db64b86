from __future__ import annotations

import json
import sys
import types

import onnx
import pytest

from lascompile.cli.main import main
from tests.masked_nets import masked_network
from tests.verify.fake_artifact import FakeArtifact


@pytest.fixture
def artifact(tmp_path, monkeypatch):
    """The artifact that every path loads as; its model is m.onnx in the current folder."""
    monkeypatch.chdir(tmp_path)
    onnx.save(masked_network(head=True), "m.onnx")
    fake = FakeArtifact(tmp_path / "m.onnx")
    module = types.ModuleType("lascompile.runtime.artifact")
    module.load = lambda path, threads=None: fake
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return fake


def spoil(outputs, inputs):
    outputs[0][0, 3] += 1.0


def test_the_table_and_the_last_line(artifact, capsys):
    assert main(["verify", "m.lasc", "--onnx", "m.onnx"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].split() == ["case", "rate", "largest", "error", "smallest", "margin", "ties"]
    assert any(line.split()[:3] == ["masks", "on", "ok"] for line in lines)
    assert lines[-1].startswith("13 of 13 cases agree with onnxruntime; largest error ")
    assert "smallest decision margin" in lines[-1]


def test_a_difference_is_one_line_and_exit_code_1(artifact, capsys):
    artifact.spoil_outputs = spoil
    assert main(["verify", "m.lasc", "--onnx", "m.onnx"]) == 1
    out, err = capsys.readouterr()
    assert "differs" in out
    assert err.startswith("lascompile: error: m.lasc differs from m.onnx: natural-like 1: output 'logits'")
    assert len(err.splitlines()) == 1


def test_json_is_printed_even_if_the_artifact_differs(artifact, capsys):
    artifact.spoil_outputs = spoil
    assert main(["verify", "m.lasc", "--onnx", "m.onnx", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["schema"], report["passed"]) == (1, False)
    assert all(case["error"] > 1e-3 for case in report["cases"] if case["kind"] == "natural")


def test_the_same_seed_gives_the_same_report(artifact, capsys):
    reports = []
    for seed in (1, 1, 2):
        assert main(["verify", "m.lasc", "--onnx", "m.onnx", "--json", "--seed", str(seed)]) == 0
        reports.append(capsys.readouterr().out)
    assert reports[0] == reports[1] != reports[2]


def test_bad_arguments(artifact, capsys):
    assert main(["verify", "m.lasc"]) == 2
    assert main(["verify", "m.lasc", "--onnx", "m.onnx", "--seed", "-1"]) == 2
    assert "seed -1: must not be negative" in capsys.readouterr().err
