"""`lascompile measure`, through the command line's own entry."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace

import onnx
import pytest

from lascompile.cli.main import main
from lascompile.latency import LatencyTable, Row
from lascompile.measure.measurer import Measurer
from lascompile.records import Failure, Latency
from tests.masked_nets import masked_network
from tests.records.samples import VERSIONS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("measure") / "m.onnx"
    onnx.save(masked_network(head=True, blocks=1), path)
    return path


def measure(*arguments: object) -> int:
    return main(["measure", *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either an ONNX file or --arch"),
        (["m.onnx", "--granularity", "4,4,2,1"], "--granularity is for --arch"),
        (["m.onnx", "--repeats", "0"], "--repeats is 0, but at least 1 is needed"),
        (["m.onnx", "--again", "0"], "--again is 0, but at least 1 is needed"),
        (["m.onnx", "--time-limit", "0"], "--time-limit is 0 minutes"),
        (["m.onnx", "--activation-rate", "half"], "activation rate 'half'"),
        (["m.onnx", "--target", "rocm"], "target 'rocm': no such kind 'rocm'"),
        (["m.onnx", "--key", "tx2"], "--key needs --tracker"),
        (["m.onnx", "--tracker", "127.0.0.1:1", "--key", "tx2"], "--tracker 127.0.0.1:1: no tracker answers there"),
        (["nowhere.onnx"], "nowhere.onnx"),
        (["--arch", "alexnet"], "unknown architecture 'alexnet'"),
        (["m.onnx", "--frequency", "1"], "unrecognized arguments: --frequency 1 (see lascompile measure --help)"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments, message, capsys):
    assert measure(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_gpus_are_known_but_not_measured_yet(model, capsys):
    assert measure(model, "--target", "cuda", "-arch=sm_70") == 5
    assert "so nothing to measure: use --target llvm" in capsys.readouterr().err


def test_help(capsys):
    with pytest.raises(SystemExit):
        measure("--help")
    assert "--activation-rate R,...\n                        of all masks (default: 0.1,0.25,0.5,0.75,1)" in (
        capsys.readouterr().out
    )


def test_dry_run_measures_nothing(model, tmp_path, capsys):
    folder = tmp_path / "r"
    assert measure(model, "--dry-run", "--records", folder) == 0
    out = capsys.readouterr().out
    assert "0.1,0.25,0.5,0.75,1" in out and "to measure, about" in out.splitlines()[-1]
    assert measure(model, "--dry-run", "--records", folder, "--json", "--activation-rate", 0.5) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["to_measure"] == len(plan["cells"]) > 3 and not any(cell["on_record"] for cell in plan["cells"])
    assert {cell["activation_rate"] for cell in plan["cells"]} == {0.5, 1.0}
    assert not folder.exists()


def test_again_needs_rows(model, tmp_path, capsys):
    assert measure(model, "--again", 3, "--records", tmp_path) == 2
    assert "no row of this network stands in" in capsys.readouterr().err


def test_measuring_going_on_and_measuring_again(model, tmp_path, capsys):
    common = [model, "--threads", 1, "--numerics", "exact", "--records", tmp_path, "--repeats", 3]
    assert measure(*common, "--activation-rate", 0.5, "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert first["measured"] == len(first["rows"]) == first["cells"] > 3
    assert first["failed"] == [] and first["on_record"] == 0
    assert measure(*common, "--activation-rate", "0.25,0.5", "--quiet") == 0
    output = capsys.readouterr()
    assert f"{first['measured']} on record before" in output.out and output.err == ""
    rows = len(list(LatencyTable(tmp_path).rows()))
    assert measure(*common, "--activation-rate", "0.25,0.5") == 0
    assert capsys.readouterr().out.startswith("0 cells measured in 0 s")
    assert measure(*common, "--again", 2) == 0
    out = capsys.readouterr().out
    assert "ratio" in out and "of 2 rows that were measured again agree within 10%" in out
    assert len(list(LatencyTable(tmp_path).rows())) == rows + 2
    assert main(["table", "plot", "--records", str(tmp_path), "-o", str(tmp_path / "t.png")]) == 0


@pytest.mark.parametrize(
    ("failures", "rows", "code"),
    [([], 0, 0), ([], 1, 0), (["run"], 1, 0), (["run"], 0, 1), (["run", "wrong"], 1, 1), (["wrong"], 0, 1)],
)
def test_the_exit_code_tells_of_wrong_kernels_and_of_nothing_but_failures(
    failures, rows, code, model, tmp_path, monkeypatch
):
    def run(self, builder, visitor, show, is_stopped):
        items = [item for group in self._groups for item in group]
        self.progress.failed += [(item, Failure(reason)) for item, reason in zip(items, failures, strict=False)]
        self.progress.rows += [Row(item.cell, Latency.of([1e-3]), VERSIONS) for item in items[-1:] * rows]

    monkeypatch.setattr(Measurer, "run", run)
    assert measure(model, "--threads", 1, "--activation-rate", 0.5, "--records", tmp_path) == code


@pytest.mark.parametrize(
    ("arguments", "is_hinted"),
    [((), False), (("--activation-rate", "0.25,0.75"), True), (("--activation-rate", "0.25", "--quiet"), False)],
)
def test_a_hint_where_the_rate_is_left_out_that_builds_ask_for(arguments, is_hinted, model, tmp_path, capsys):
    assert measure(model, "--dry-run", "--records", tmp_path, *arguments) == 0
    hint = (
        "lascompile: hint: build asks the table at activation rate 0.5, which is not measured here; "
        "add 0.5 to --activation-rate\n"
    )
    assert capsys.readouterr().err == hint * is_hinted


def test_again_does_not_compare_with_another_version_of_tvm(model, tmp_path, capsys, monkeypatch):
    def run(self, builder, visitor, show, is_stopped):
        items = [item for group in self._groups for item in group]
        self.progress.rows += [Row(item.cell, Latency.of([3e-3]), VERSIONS) for item in items]
        LatencyTable(tmp_path).append(*self.progress.rows)

    monkeypatch.setattr(Measurer, "run", run)
    common = [model, "--threads", 1, "--activation-rate", 0.5, "--records", tmp_path, "--json"]
    assert measure(*common) == 0
    table = LatencyTable(tmp_path)
    own = [item.value for item in table.rows()]
    other = {"versions": replace(VERSIONS, tvm="9.9"), "latency": Latency.of([1.0]), "when": "9"}
    table.append(*(replace(row, **other) for row in own))
    capsys.readouterr()
    assert measure(*common, "--again", 2) == 0
    assert [pair["ratio"] for pair in json.loads(capsys.readouterr().out)["again"]] == [1.0, 1.0]


def test_after_ctrl_c_the_summary_says_what_is_left(model, tmp_path, capsys, monkeypatch):
    def interrupted(self, builder, visitor, show, is_stopped):
        os.kill(os.getpid(), signal.SIGINT)
        while not is_stopped():
            time.sleep(0.01)

    monkeypatch.setattr(Measurer, "run", interrupted)
    assert measure(model, "--threads", 1, "--activation-rate", 0.5, "--records", tmp_path) == 130
    assert "left to measure" in capsys.readouterr().out
