from __future__ import annotations

import csv
import json
import sys
import types

import numpy as np
import onnx
import pytest

from lascompile.cli.main import main
from tests.masked_nets import masked_network
from tests.verify.fake_artifact import FakeArtifact

BENCH = ("bench", "m.lasc", "--onnx", "m.onnx", "--baselines", "onnxruntime", "--repeats", "5")


@pytest.fixture(autouse=True)
def artifact(tmp_path, monkeypatch):
    """The artifact that every path loads as; its model is m.onnx in the current folder."""
    monkeypatch.chdir(tmp_path)
    onnx.save(masked_network(head=True), "m.onnx")
    fake = FakeArtifact(tmp_path / "m.onnx")
    module = types.ModuleType("lascompile.runtime.artifact")
    module.load = lambda path, threads=None: fake
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return fake


def test_the_table_and_the_last_line(capsys):
    assert main(BENCH) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].startswith("m.onnx, input 1x3x16x16 (natural-like images), 1 threads, ")
    assert " ".join(lines[1].split()) == "runtime network min median p90 p99 mean CoV per s ratio"
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["lascompile", "artifact"],
        ["onnxruntime", "static"],
        ["onnxruntime", "dynamic"],
    ]
    assert any(line.startswith("activation rate 0.") for line in lines)
    assert lines[-1].startswith("artifact / fastest static baseline (onnxruntime): ")


def test_against_another_artifact(capsys):
    assert main((*BENCH[:4], "--baselines", "", "--repeats", "5", "--against", "untuned.lasc")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["lascompile", "artifact"], ["untuned.lasc", "artifact"]]
    assert lines[-1].startswith("artifact / untuned.lasc: ")


def test_the_path_of_another_artifact_may_hold_anything(capsys):
    assert main((*BENCH[:4], "--baselines", "", "--repeats", "5", "--against", "x[bold].lasc")) == 0
    assert capsys.readouterr().out.splitlines()[3].split()[0] == "x[bold].lasc"


def test_json(capsys):
    assert main((*BENCH, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["runtime"] for row in report["rows"]] == ["lascompile", "onnxruntime", "onnxruntime"]


def test_csv(capsys):
    assert main((*BENCH, "--csv", "--clients", "2", "--warmup", "0")) == 0
    first, *rows = csv.DictReader(capsys.readouterr().out.splitlines())
    assert [row["network"] for row in rows] == ["static", "dynamic"]
    assert (first["runtime"], first["clients"], first["threads"], first["runs"]) == ("lascompile", "2", "1", "10")
    assert float(first["throughput_per_s"]) > 0 and first["ratio"] == "" and float(rows[0]["ratio"]) > 0


def test_a_duration(capsys):
    assert main((*BENCH[:6], "--duration", "0.05", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert all(row["latency"]["runs"] >= 10 for row in report["rows"])


def test_without_the_file(capsys):
    assert main(("bench", "m.lasc", "--repeats", "5", "--clients", "2")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ", 1 threads, 2 clients, " in lines[0]
    assert [line.split()[:2] for line in lines[2:3]] == [["lascompile", "artifact"]]
    assert main(("bench", "m.lasc", "--baselines", "onnxruntime")) == 2
    assert "other runtimes need the ONNX file; give it with --onnx" in capsys.readouterr().err


def test_an_input_file(capsys):
    np.save("x.npy", np.zeros((1, 3, 16, 16), np.float32))
    assert main((*BENCH, "--json", "--input", "x.npy")) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "x.npy"


def test_bad_arguments(capsys):
    for extra, message in (
        (("--input", "nowhere.npy"), "nowhere.npy: no such file"),
        (("--baselines", "tensorrt"), "unknown baseline 'tensorrt'"),
        (("--repeats", "0"), "repeats 0: must be at least 1"),
        (("--clients", "0"), "clients 0: must be from 1 to 1024"),
        (("--warmup", "-1"), "warmup -1: must not be negative"),
        (("--seed", "-1"), "seed -1: must not be negative"),
        (("--against", "a.lasc", "--against", "./a.lasc/"), "--against a.lasc is given twice"),
    ):
        assert main((*BENCH, *extra)) == 2
        assert message in capsys.readouterr().err
