from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lascompile.cli.main import main
from lascompile.latency import LatencyTable, table
from tests.latency.samples import row
from tests.records.samples import DENSE

HOW_TO_GET_ROWS = "lascompile measure makes rows, lascompile table merge copies those of other machines"
WHEN = "2026-11-21T04:14:00.000000+00:00"


@pytest.fixture(autouse=True)
def no_other_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(table, "shipped_folder", lambda: tmp_path / "shipped")


@pytest.fixture
def folder(tmp_path):
    rows = [
        row(1e-3 * (rate + size), rate, granularity=(size, size), when=WHEN) for size in (4, 2) for rate in (1, 0.5)
    ]
    rows.append(row(2e-3, 1.0, granularity=None, workload=DENSE, when=WHEN))
    LatencyTable(tmp_path / "records").append(*rows)
    return tmp_path / "records"


def run(capsys, *argv):
    code = main(["table", *map(str, argv)])
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out


def test_rows_are_shown_by_stage_kernel_granularity_and_rate(folder, capsys):
    lines = [" ".join(line.split()) for line in run(capsys, "show", "--records", folder).splitlines()]
    assert lines[:2] == [
        "A CPU, llvm znver5, TVM 0.27.0.post1",
        "stage kernel shape algorithm S r threads median ms p10 p90 repeats measured",
    ]
    assert lines[2] == "64×56×56 conv1x1 3136 rows, 64→256 direct 2 2.000 1.800 2.400 20 2026-11-21"
    assert lines[3] == "64×56×56 gather_conv3x3 3136 rows, 64→64 direct 2 0.50 2 2.500 2.250 3.000 20 2026-11-21"
    assert [line.split()[6:8] for line in lines[3:7]] == [["2", "0.50"], ["2", "1.00"], ["4", "0.50"], ["4", "1.00"]]
    assert lines[-1] == "5 rows"


def test_rows_can_be_chosen(folder, capsys):
    assert run(capsys, "show", "--records", folder, "--device", "A CPU").endswith("5 rows\n")
    none = f"no such rows in {folder}; {HOW_TO_GET_ROWS}\n"
    assert run(capsys, "show", "--records", folder, "--device", "x") == none
    assert run(capsys, "show", "--records", folder, "--threads", "1") == none


def test_rows_for_machines(folder, capsys):
    report = json.loads(run(capsys, "show", "--records", folder, "--json"))
    assert (report["schema"], len(report["rows"]), report["damaged"]) == (1, 5, [])
    first = report["rows"][0]
    assert first["latency"] == {"median_s": 0.005, "p10_s": 0.0045000000000000005, "p90_s": 0.006, "repeats": 20}
    assert (first["granularity"], first["stage"], first["kernel"]) == ([4, 4], [64, 56, 56], "gather_conv3x3")


def test_merging(folder, tmp_path, capsys):
    destination = tmp_path / "all"
    said = [run(capsys, "merge", folder, "--records", destination) for _ in range(2)]
    assert said == [
        f"{folder}: 5 rows added to {destination}, 0 were there already\n",
        f"{folder}: 0 rows added to {destination}, 5 were there already\n",
    ]
    report = json.loads(run(capsys, "merge", folder, "--records", destination, "--json"))
    assert report == {
        "schema": 1,
        "folder": str(destination),
        "sources": {str(folder): {"added": 0, "present": 5}},
    }


@pytest.mark.parametrize(("name", "start"), [("t.png", b"\x89PNG"), ("t.svg", b"<?xml"), ("T.PNG", b"\x89PNG")])
def test_plotting(folder, tmp_path, capsys, name, start):
    output = tmp_path / name
    assert run(capsys, "plot", "--records", folder, "-o", output) == f"{output}: 5 rows in 2 panels\n"
    assert output.read_bytes().startswith(start)
    report = json.loads(run(capsys, "plot", "--records", folder, "-o", output, "--json"))
    assert report == {"schema": 1, "output": str(output), "rows": 5, "panels": 2}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["show", "--records", "nowhere"], "--records nowhere: no such folder"),
        (["merge", "nowhere"], "nowhere is no folder; give one that holds <device>/tvm-<version>/latency.jsonl"),
        (["plot", "-o", "t.pdf"], "-o t.pdf: unknown ending '.pdf'; give a .png or .svg file"),
        (["plot", "-o", "no/t.png"], "-o no/t.png: no is not a folder; make it first"),
        (
            ["plot", "-o", "t.png", "--records", "empty"],
            f"nothing to plot in empty: no rows of a stage; {HOW_TO_GET_ROWS}",
        ),
        (
            ["plot", "-o", "t.png", "--records", "records"],
            "the rows are of more than one device (A CPU, another); choose one with --device",
        ),
        (
            ["plot", "-o", "t.png", "--records", "records", "--device", "A CPU"],
            "the rows are of more than one number of threads (1, 2); choose one with --threads",
        ),
        (["plot"], "the following arguments are required: -o/--output (see lascompile table plot --help)"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    LatencyTable(folder).append(row(device="another"), row(threads=1))
    code = main(["table", *argv])
    out, err = capsys.readouterr()
    assert (code, out, err) == (2, "", f"lascompile: error: {message}\n")
    assert not (tmp_path / "t.png").exists()


def test_rows_that_lascompile_comes_with_are_plotted_beside_those_of_the_same_machine_only(folder, tmp_path, capsys):
    own = row(1e-3, 0.25)
    task = replace(own.cell.task, threads=8)
    LatencyTable(tmp_path / "shipped").append(own, replace(own, cell=replace(own.cell, task=task)))
    picture = tmp_path / "table.png"
    assert "6 rows in" in run(capsys, "plot", "--records", folder, "-o", picture)
    (tmp_path / "none").mkdir()
    assert main(["table", "plot", "--records", str(tmp_path / "none"), "-o", str(picture)]) == 2
    assert "more than one number of threads (2, 8)" in capsys.readouterr().err
