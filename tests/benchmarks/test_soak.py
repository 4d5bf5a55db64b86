"""The soak: each action once on a small network, and faults that it has to find."""

from __future__ import annotations

import random

import numpy as np
import onnx
import pytest

from tests.benchmarks.scripts import loaded
from tests.masked_nets import masked_network

# What Python 3.12 says of every fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


@pytest.fixture(scope="module")
def script():
    with loaded("soak") as module:
        yield module


@pytest.fixture(scope="module")
def soak(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("soak")
    onnx.save(masked_network(), folder / "small.onnx")
    return script.Soak(folder, folder / "small.onnx", False, random.Random(0))


def test_each_action_finds_nothing(script, soak):
    done, faults = script.run(soak, 0.0, random.Random(0))
    assert faults == []
    assert set(done) == set(soak.actions()) and len(done) == 6


def test_what_goes_wrong_is_found(script, soak, monkeypatch):
    good = soak.expected
    monkeypatch.setattr(soak, "expected", [np.zeros_like(output) for output in good])
    monkeypatch.setattr(soak, "kill_build", lambda: None)
    done, faults = script.run(soak, 0.0, random.Random(0))
    assert sum(done.values()) == 6
    for expected in (
        "calls from 8 threads: outputs differ",
        "100 short-lived threads: outputs differ",
        "forked child that calls: the child ended with 1",
        "20 loads: outputs differ",
        "a steady caller: outputs differ",
    ):
        assert expected in faults


def test_threads_that_are_left_are_found(script, soak, monkeypatch):
    real = script.held()
    more = type(real)(real.threads + 1, real.files, real.resident_bytes)
    monkeypatch.setattr(script, "held", iter((real, more)).__next__)
    monkeypatch.setattr(soak, "actions", lambda: {})
    assert script.run(soak, 0.0, random.Random(0))[1] == ["it holds more: 1 threads, 0 files, 0 MiB"]


def test_a_full_disk_is_tried_where_there_is_one(script, soak, monkeypatch):
    assert "build on a full disk" not in soak.actions()
    monkeypatch.setattr(soak, "bounded", True)
    assert "build on a full disk" in soak.actions()


def test_a_first_build_that_fails_is_told(script, tmp_path, capsys):
    (tmp_path / "none.onnx").write_bytes(b"nothing")
    assert script.main(["--onnx", str(tmp_path / "none.onnx"), "--duration", "1"]) == 1
    assert "soak.py: error: the first build failed: " in capsys.readouterr().err
