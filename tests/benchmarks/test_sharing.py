"""The benchmark of sharing around its measurements, and one small run of them."""

from __future__ import annotations

import json

import onnx
import pytest

from lascompile.bench.resident import Held, Model, Resident
from lascompile.compile import build_artifact
from lascompile.errors import LascompileError
from tests.benchmarks.scripts import loaded
from tests.masked_nets import masked_network


@pytest.fixture(scope="module")
def script():
    with loaded("sharing") as module:
        yield module


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharing")
    onnx.save(masked_network(), folder / "m.onnx")
    return Model(folder / "m.onnx", build_artifact(folder / "m.onnx", threads=2), 2)


def figures(loss, rate):
    beside = {"median_s": 1e-3, "mean_s": 2e-3, "p99_s": 3e-3}
    return {
        "beside": {str(count): {**beside, "loss": [loss - 0.5, loss, loss + 0.5]} for count in (0, 1, 2)},
        "clients": {str(count): {"per_s": [1, rate, 2 * rate], "fairness": 0.9, "p99_s": 0.1} for count in (1, 2, 8)},
        "held": {
            "short_lived_threads": {"count": 10_000, "threads": 0, "files": 1, "resident_bytes": 2**20},
            "loads": {"count": 500, "threads": 2, "files": 0, "resident_bytes": 0},
        },
    }


def results(script, **models):
    settings = script.asdict(script.Settings(2, 15, 1.0, 10_000, 500))
    machine = {"threads": 2, "cpu": "a CPU", "cores": 2, "versions": {"lascompile": "1"}}
    return {"schema": 1, "machine": machine, "settings": settings, "models": models}


def test_the_tables(script):
    found = {"lascompile": figures(3.0, 123.4), "onnxruntime": figures(2.0, 100.0)}
    lines = script.markdown(results(script, small=found)).splitlines()
    assert lines[0].startswith("2 threads each on a CPU (2 cores; lascompile 1). Runtimes run the same ONNX file")
    assert "| lascompile | 2 (1, 3) | 2 (1, 3) | **3.00** (2.50–3.50) | 2 (1, 3) | **3.00** (2.50–3.50) |" in lines
    assert "- beside 1: lascompile's loss is 1.50 of onnxruntime's (at most 1.5 is wanted)" in lines
    assert "| runtime | 1 thread | 2 threads | 8 threads |" in lines
    assert "| lascompile |" + " 123.4 (0.90, 100 ms) |" * 3 in lines
    assert "| 10000 threads that called once and ended | 0 | 1 | 1.0 |" in lines
    assert "| 500 loads | 2 | 0 | 0.0 |" in lines


def test_without_others_there_is_no_verdict(script):
    assert "wanted" not in script.markdown(results(script, small={"lascompile": figures(3.0, 1.0)}))


def test_others_alone_leave_nothing_behind_that_matters(script):
    assert "leaves behind" not in script.markdown(results(script, small={"openvino": figures(3.0, 1.0)}))


def test_a_small_run_of_everything(script, model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "build", lambda name, settings, folder: model)
    arguments = ["--models", "any", "--runtimes", "lascompile", "onnxruntime", "--threads", "2", "--rounds", "2"]
    small = ["--seconds", "0.02", "--threads-called", "20", "--loads", "3", "--output", str(tmp_path)]
    assert script.main([*arguments, *small]) == 0
    assert "## any" in capsys.readouterr().out
    stored = json.loads((tmp_path / "sharing.json").read_text())
    assert stored["settings"]["loads"] == 3
    for entry in stored["models"]["any"].values():
        assert entry["beside"]["0"]["loss"] == [1.0, 1.0, 1.0]
        assert all(rate["per_s"][1] > 0 and 0 < rate["fairness"] <= 1 for rate in entry["clients"].values())
    held = stored["models"]["any"]["lascompile"]["held"]
    assert {kind: each["threads"] for kind, each in held.items()} == {"short_lived_threads": 0, "loads": 0}


def test_what_a_runtime_raises_reaches_the_one_that_asks(model, tmp_path):
    with pytest.raises(LascompileError, match="no-artifact"):
        Resident("lascompile", Model(model.onnx, tmp_path / "no-artifact", 2))


def test_what_is_held_more():
    assert Held(5, 4, 300) - Held(3, 4, 100) == Held(2, 0, 200)
