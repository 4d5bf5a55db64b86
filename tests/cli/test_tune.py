"""`lascompile tune`, through the command line's own entry."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import onnx
import pytest

from lascompile.cli.main import main
from lascompile.cpu import processor
from lascompile.records import RecordStore
from tests.masked_nets import masked_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("tune") / "m.onnx"
    onnx.save(masked_network(head=True, blocks=1), path)
    return path


def tune(*arguments: object) -> int:
    return main(["tune", *map(str, arguments)])


CUDA_MISSING = "is known, but there are no schedule spaces for CUDA yet, so nothing to tune: use --target llvm"


@pytest.mark.parametrize(
    "target",
    [
        ("cuda", "-arch=sm_70"),
        ("cuda -arch=sm_70",),
        ("cuda", "-arch=jetson-orin"),
        ("nvidia/jetson-tx2",),
        ('{"kind": "cuda", "arch": "sm_70"}',),
    ],
)
def test_gpus_are_known_but_not_tuned_yet(model, target, capsys):
    assert tune(model, "--target", *target) == 5
    assert CUDA_MISSING in capsys.readouterr().err


def test_what_cannot_run_here_is_tuned_on_boards(model, tmp_path, capsys):
    other = "aarch64" if processor() == "x86_64" else "x86_64"
    target = ("--target", f"llvm -mtriple={other}-linux-gnu", "--records", tmp_path / "r")
    assert tune(model, *target) == 5
    assert capsys.readouterr().err == (
        f"lascompile: error: tune runs what it builds, but this machine is {processor()} and the target {other}; "
        "measure on boards with --tracker and --key, or list it with --dry-run\n"
    )
    assert tune(model, *target, "--dry-run") == 0
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either an ONNX file or --arch"),
        (["m.onnx", "--arch", "lasnet_resnet50"], "give either an ONNX file or --arch, not both"),
        (["m.onnx", "--input-size", 64], "--input-size is for --arch: a model has its own"),
        (["m.onnx", "--batch", 8], "--batch is for --arch: a model has its own"),
        (["m.onnx", "--granularity", "4,4,2,1"], "--granularity is for --arch"),
        (["m.onnx", "--trials", "0"], "--trials is 0, but at least 1 is needed"),
        (["m.onnx", "--seed", "-1"], "--seed is -1: it must be from 0 to 4294967295"),
        (["m.onnx", "--seed", "4294967296"], "--seed is 4294967296: it must be from 0 to 4294967295"),
        (["m.onnx", "--time-limit", "0"], "--time-limit is 0 minutes"),
        (["m.onnx", "--activation-rate", "0.5,2"], "activation rate '0.5,2'"),
        (["m.onnx", "--target", "rocm"], "target 'rocm': no such kind 'rocm'"),
        (["m.onnx", "--key", "tx2"], "--key needs --tracker"),
        (["m.onnx", "--jobs", "2"], "--jobs needs --tracker"),
        (["m.onnx", "--tracker", "nowhere"], "--tracker nowhere: write it as HOST:PORT"),
        (["m.onnx", "--tracker", "localhost:9190"], "--tracker needs --key"),
        (["m.onnx", "--tracker", "127.0.0.1:1", "--key", "tx2"], "--tracker 127.0.0.1:1: no tracker answers there"),
        (["nowhere.onnx"], "nowhere.onnx"),
        (["m.onnx", "--plot", "no/where.png"], "there is no folder no"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments, message, capsys):
    assert tune(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_without_a_linker_no_trial_fails(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lascompile.toolchain.linker.find_linker", lambda mtriple: None)
    assert tune(model, "--trials", 2, "--quiet", "--records", tmp_path / "r") == 4
    assert "no linker for" in capsys.readouterr().err
    assert not list(RecordStore(tmp_path / "r").records())


def test_dry_run_makes_nothing(model, tmp_path, capsys):
    assert tune(model, "--dry-run", "--trials", 20, "--records", tmp_path / "r") == 0
    out = capsys.readouterr().out
    assert "20 trials to make, 0 on record, about 30 s" in out and "conv" in out
    shares = [float(share) for share in re.findall(r" (\d+\.\d)% ", out)]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(100, abs=1)
    assert max(map(len, out.splitlines())) <= 100
    assert not (tmp_path / "r").exists()


def test_tuning_and_going_on(model, tmp_path, capsys):
    folder = tmp_path / "r"
    common = [model, "--threads", 1, "--numerics", "exact", "--records", folder]
    assert tune(*common, "--trials", 6, "--quiet") == 0
    out = capsys.readouterr().out
    assert out.startswith("6 trials in") and "untuned" in out
    assert (folder / "tuning.png").stat().st_size > 0
    assert tune(*common, "--trials", 7, "--quiet") == 0
    assert re.match(r"1 trial in \d+ s for \d+ tasks, 6 on record before\n", capsys.readouterr().out)
    assert tune(*common, "--trials", 8, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["trials"] == 8 and sum(task["trials"] for task in report["tasks"]) == 8
    assert len(list(RecordStore(folder).records())) == 8


@pytest.mark.slow
def test_kill_at_any_moment(model, tmp_path, root):
    """What was on record stays, and the same command ends where it would have."""
    folder = tmp_path / "r"
    command = [sys.executable, "-m", "lascompile", "tune", str(model), "--threads", "1", "--trials", "40", "--quiet"]
    command += ["--numerics", "exact", "--records", str(folder)]
    started = subprocess.Popen(command, cwd=root, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(RecordStore(folder).records())) < 10 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    before = [item.value.identity for item in RecordStore(folder).records()]
    assert 10 <= len(before) < 40
    assert subprocess.run(command, cwd=root, check=False).returncode == 0
    after = [item.value.identity for item in RecordStore(folder).records()]
    assert after[: len(before)] == before and len(after) == 40
