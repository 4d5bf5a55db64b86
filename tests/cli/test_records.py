from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from lascompile.cli.main import main
from lascompile.plan.known import known_algorithms
from lascompile.records import WRONG, Failure, RecordStore, folders
from lascompile.workload import Epilogue
from tests.records.samples import DENSE, GATHER, VERSIONS, record

WHEN = "2026-11-21T04:14:00.000000+00:00"


@pytest.fixture(autouse=True)
def no_other_records(tmp_path, monkeypatch):
    """Neither those of who runs the tests nor those that lascompile comes with."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(folders, "shipped_folder", lambda: tmp_path / "shipped")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "records"


@pytest.fixture
def store(folder):
    """Five trials of two tasks on one device, one on another."""
    store = RecordStore(folder)
    store.append(
        record(1e-3, tile=8, when=WHEN),
        record(2e-3, tile=6, when=WHEN),
        record(None, tile=4, when=WHEN),
        record(None, tile=2, when=WHEN, failure=Failure(WRONG)),
        record(3e-3, workload=DENSE, activation_rate=1.0, when=WHEN),
        record(4e-3, device="Jetson [TX2]", when=WHEN),
    )
    return store


def run(capsys, *argv):
    """Exit code and output of a command that says nothing on stderr."""
    code = main(["records", *map(str, argv)])
    out, err = capsys.readouterr()
    assert err == ""
    return code, out


def fails(capsys, *argv):
    """Exit code and the one line on stderr."""
    code = main(["records", *map(str, argv)])
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    return code, err.removeprefix("lascompile: error: ").rstrip("\n")


def test_the_list_has_a_line_a_task(store, folder, capsys):
    code, out = run(capsys, "list", "--records", folder)
    assert code == 0
    best = next(item.value for item in store.records() if item.value.latency and item.value.latency.median_s == 1e-3)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "A CPU, llvm znver5, TVM 0.27.0.post1"
    assert lines[1] == "kernel shape r threads trials failed best ms algorithm record measured"
    assert lines[2].startswith("conv1x1 3136 rows, 64→256 2 1 3.000 direct ")
    assert lines[3] == (f"gather_conv3x3 3136 rows, 64→64 0.50 2 4 2 (1 wrong) 1.000 direct {best.identity} 2026-11-21")
    assert "Jetson [TX2], llvm znver5, TVM 0.27.0.post1" in lines
    assert lines[-1] == "3 tasks, 6 trials"


def test_the_list_of_one_device(store, folder, capsys):
    assert run(capsys, "list", "--records", folder, "--device", "A CPU")[1].endswith("2 tasks, 5 trials\n")
    assert run(capsys, "list", "--records", folder, "--device", "x")[1] == (
        f"no records of 'x' in {folder}; lascompile tune makes them\n"
    )


def test_the_list_for_machines(store, folder, capsys):
    report = json.loads(run(capsys, "list", "--records", folder, "--json")[1])
    assert report["schema"] == 1
    assert [(task["kernel"], task["trials"], task["failed"], task["wrong"]) for task in report["tasks"]] == [
        ("conv1x1", 1, 0, 0),
        ("gather_conv3x3", 4, 2, 1),
        ("gather_conv3x3", 1, 0, 0),
    ]
    assert [task["activation_rate"] for task in report["tasks"]] == [None, 0.5, 0.5]
    assert report["tasks"][1]["median_s"] == 1e-3
    assert (report["damaged"], report["unreadable"], report["quarantined"]) == ([], [], 0)


def test_the_user_s_folder_is_listed_by_default(tmp_path, capsys):
    assert run(capsys, "list")[1] == (
        f"no records in {tmp_path / 'cache' / 'lascompile' / 'records'}; lascompile tune makes them\n"
    )


def test_shipped_records_are_listed_as_such(tmp_path, capsys):
    RecordStore(tmp_path / "shipped").append(record(1e-3, when=WHEN))
    assert "2026-11-21, shipped" in run(capsys, "list")[1]


def test_a_task_of_which_all_trials_failed_has_no_best(folder, capsys):
    RecordStore(folder).append(record(None))
    line = run(capsys, "list", "--records", folder)[1].splitlines()[2]
    assert line.split() == ["gather_conv3x3", "3136", "rows,", "64→64", "0.50", "2", "1", "1"]


def test_damaged_lines_are_named_and_counted(store, folder, capsys):
    path = folder / "a-cpu" / "tvm-0.27.0.post1" / "trials.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"median_s":0.001', b'"median_s":0.0001'))
    assert main(["records", "list", "--records", str(folder)]) == 0
    out, _ = capsys.readouterr()
    assert out.endswith("lines left out: 1 damaged; the next write moves them aside\n")
    RecordStore(folder).append(record())
    _, out = run(capsys, "list", "--records", folder)
    assert out.endswith("lines left out: 1 damaged and moved to a file .quarantine\n")
    assert json.loads(run(capsys, "list", "--records", folder, "--json")[1])["quarantined"] == 1


def test_damaged_lines_are_on_stderr_of_a_real_run(store, folder):
    path = folder / "a-cpu" / "tvm-0.27.0.post1" / "trials.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"median_s":0.001', b'"median_s":0.0001'))
    command = [sys.executable, "-m", "lascompile", "records", "list", "--json", "--records", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message = f"{path}, line 1 is damaged and left out: its checksum does not match"
    assert done.stderr == f"lascompile.journal: {message}\n"
    assert json.loads(done.stdout)["damaged"] == [{"path": str(path), "line": 1, "why": "its checksum does not match"}]


def test_merging_adds_what_is_missing(store, folder, tmp_path, capsys):
    destination = tmp_path / "all"
    said = [run(capsys, "merge", folder, "--records", destination)[1] for _ in range(2)]
    assert said == [
        f"{folder}: 6 records added to {destination}, 0 were there already\n",
        f"{folder}: 0 records added to {destination}, 6 were there already\n",
    ]
    assert len(list(RecordStore(destination).records())) == 6
    report = json.loads(run(capsys, "merge", folder, "--records", destination, "--json")[1])
    assert report["sources"] == {str(folder): {"added": 0, "present": 6}}


@pytest.mark.parametrize(
    ("rules", "removed"), [(["--failed"], 1), (["--keep", "1"], 1), (["--keep", "1", "--failed"], 2)]
)
def test_pruning(store, folder, capsys, rules, removed):
    _, out = run(capsys, "prune", "--records", folder, *rules, "--dry-run")
    assert out == f"{folder}: {removed} records would be removed, {6 - removed} left\n"
    assert len(list(store.records())) == 6
    _, out = run(capsys, "prune", "--records", folder, *rules)
    assert out == f"{folder}: {removed} records removed, {6 - removed} left\n"
    assert len(list(store.records())) == 6 - removed


def test_pruning_what_no_longer_applies(folder, capsys):
    definition = known_algorithms(GATHER, "llvm")["direct"].definition
    applies = {
        "definition": definition,
        "decisions": {
            **{"tile_rows": 6, "width": 32, "unroll": 4, "channel_walkers": 1, "row_walkers": 2},
            **{"rows_inside": False, "prefetch": 0},
        },
    }
    store = RecordStore(folder)
    store.append(record(trial=0, **applies), record(trial=1), record(trial=2, algorithm="no more"))
    store.append(record(trial=3, definition=definition), record(trial=4, versions=replace(VERSIONS, tvm="0.26.0")))
    report = json.loads(run(capsys, "prune", "--records", folder, "--outdated", "--json")[1])
    assert report == {"schema": 1, "folder": str(folder), "dry_run": False, "removed": 3, "left": 2}
    assert [item.value.trial for item in store.records()] == [4, 0]
    run(capsys, "prune", "--records", folder, "--other-tvm", "--device", "another")
    assert len(list(store.records())) == 2
    run(capsys, "prune", "--records", folder, "--other-tvm")
    assert [item.value.trial for item in store.records()] == [0]


def test_edited_workloads(tmp_path, capsys, caplog):
    """One that no kernel computes is outdated; one that is none is left out of everything."""
    folder = tmp_path / "edited"
    store = RecordStore(folder)
    store.append(record(workload=replace(GATHER, epilogue=Epilogue(before=(("nonsense",),)))))
    stored = record().to_json()
    stored["task"]["workload"]["fields"]["taps"] = -1
    store._own.journal("A CPU", VERSIONS.tvm).append(stored)
    assert run(capsys, "list", "--records", folder)[1].endswith("lines left out: 1 of another version of lascompile\n")
    caplog.set_level("INFO", "lascompile.records")
    report = json.loads(run(capsys, "prune", "--records", folder, "--outdated", "--json")[1])
    assert (report["removed"], report["left"]) == (1, 0)
    assert [message for message in caplog.messages if "is outdated: " in message and "nonsense" in message]


def test_what_fails_while_pruning_removes_nothing(store, folder, capsys, monkeypatch):
    """A bug or a full memory says nothing of a record."""

    def fail(workload, kind):
        raise TypeError("a bug")

    monkeypatch.setattr("lascompile.plan.known.known_algorithms", fail)
    code, error = fails(capsys, "prune", "--records", folder, "--outdated")
    assert code == 1 and "TypeError: a bug" in error
    assert len(list(store.records())) == 6


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["list", "--records", "nowhere"], "--records nowhere: no such folder"),
        (["prune", "--failed", "--records", "nowhere"], "--records nowhere: no such folder"),
        (
            ["list", "--records", "file"],
            "file is a file, but records are kept in a folder; give another one with --records",
        ),
        (["merge", "nowhere"], "nowhere is no folder; give one that holds <device>/tvm-<version>/trials.jsonl"),
        (
            ["merge", "empty"],
            "empty holds no <device>/tvm-<version>/trials.jsonl, so there is nothing to merge",
        ),
        (["prune"], "nothing to prune by; give --failed, --keep N, --outdated or --other-tvm"),
        (["prune", "--keep", "0"], "--keep 0: at least 1 is needed"),
        ([], "the following arguments are required: ACTION (see lascompile records --help)"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(capsys, monkeypatch, tmp_path, argv, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    assert fails(capsys, *argv) == (2, message)


def test_looking_at_records_imports_neither_tvm_nor_torch(store, folder):
    script = (
        "import sys\nfrom lascompile.cli.main import main\n"
        f"main(['records', 'list', '--records', {str(folder)!r}])\n"
        "print([name for name in ('tvm', 'tvm_ffi', 'torch', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
