"""`predict`, `search`, `predictor` and `device` as users call them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lascompile.cli.main import main
from lascompile.machine import DEVICES


@pytest.fixture(autouse=True)
def no_records_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main([*argv]) == code
    out, err = capsys.readouterr()
    assert bool(err) == bool(code)
    return err if code else out


TINY = ("--arch", "lasnet_resnet_tiny", "--input-size", "64")


def test_a_network_is_told_block_by_block(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "predict", *TINY, "--device", "zen4", "--threads", "2", "--granularity", "4,2,2,1", "--kernels")
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["block", "S", "rate"]
    assert lines[1].startswith("stem") and any(line.split()[:3] == ["layer4.1", "1", "0.50"] for line in lines)
    assert any(line.startswith("  conv2 ") for line in lines)
    assert "lasnet_resnet_tiny on zen4: " in out and "without masks" in out
    assert lines[-1].startswith("predicted from: ") and "corrected" in lines[-1]


def test_json_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "predict", *TINY, "--device", "jetson-tx2", "--json"))
    assert found["schema"] == 1 and found["sources"] == ["data sheet"]
    assert sum(block["latency_s"] for block in found["blocks"]) == pytest.approx(found["latency_s"])
    assert found["low_s"] < found["latency_s"] < found["high_s"]
    kernels = [kernel for block in found["blocks"] for kernel in block["kernels"]]
    assert sum(kernel["latency_s"] for kernel in kernels) == pytest.approx(found["latency_s"])
    assert found["static_s"] == pytest.approx(sum(block["static_s"] for block in found["blocks"]))


def test_measurements_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "predict", *TINY, "--device", "zen4", "--threads", "2", "--data-sheet-only")
    assert out.splitlines()[-1] == "predicted from: data sheet"


def test_a_device_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sheet = json.loads(run(capsys, "device", "show", "jetson-orin", "--json"))
    (tmp_path / "mine.json").write_text(json.dumps(sheet | {"name": "mine", "engines": 1}))
    found = json.loads(run(capsys, "predict", *TINY, "--device", str(tmp_path / "mine.json"), "--json"))
    assert found["device"] == "mine"


def test_an_edited_data_sheet_is_what_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sheet = json.loads(run(capsys, "device", "show", "zen4", "--json"))
    (tmp_path / "slow.json").write_text(json.dumps(sheet | {"clock_hz": sheet["clock_hz"] / 10}))
    slow, fast = (
        json.loads(run(capsys, "predict", *TINY, "--device", device, "--json"))
        for device in (str(tmp_path / "slow.json"), "zen4")
    )
    assert slow["sources"] == ["data sheet"]
    assert slow["latency_s"] > 2 * fast["latency_s"]


def test_small_images_need_no_default_granularity(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--arch", "lasnet_resnet50", "--input-size", "8", "--device", "zen4")
    assert "ratio" in run(capsys, "predict", *small, "--granularity", "1,1,1,1")
    assert "fastest" in run(capsys, "search", *small)


def test_a_folder_of_records_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("predict", "search"):
        assert "no such folder" in run(capsys, command, *TINY, "--records", "/nowhere", code=2)


def test_fit_writes_to_plain_files_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fit = ["predictor", "fit", "--device", "zen4", "--threads", "2", "-o"]
    os.mkfifo(tmp_path / "pipe.json")
    assert "is a device, pipe or socket" in run(capsys, *fit, str(tmp_path / "pipe.json"), code=2)
    assert "is not a folder" in run(capsys, *fit, str(tmp_path / "none" / "p.json"), code=2)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--device", "abacus"], "device 'abacus': there is none of that name"),
        (["--activation-rate", "1.5"], "activation rate 1.5: it must be from 0 to 1"),
        (["--activation-rate", "half"], "activation rate 'half': must be numbers"),
        (["--activation-rate", "0.5,0.5"], "2 activation rates for 8 blocks"),
        (["--granularity", "4,4"], "granularity has 2 numbers"),
        (["--granularity", "a"], "granularity 'a': must be numbers"),
        (["--granularity", "99,1,1,1"], "granularity 99 of block layer1.0"),
        (["--batch", "0"], "--batch is 0"),
        (["--device", "v100", "--threads", "2"], "--threads is for CPUs: v100 is a GPU"),
        (["--arch", "vgg"], "unknown architecture 'vgg'"),
    ],
)
def test_impossible_questions_get_one_line(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    err = run(capsys, "predict", *TINY, *argv, code=2)
    assert message in err and err.count("\n") == 1


def test_a_search_prints_draws_and_counts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "search.html"
    argv = ["search", *TINY, "--device", "v100", "--activation-rate", "0.4", "--top", "3"]
    out = run(capsys, *argv, "-o", str(page))
    assert "r=0.4" in out and "fastest at r=0.4" in out and str(page) in out
    content = page.read_text()
    assert content.count("data:image/png;base64,") == 3 and "<script" not in content and "http" not in content
    found = json.loads(run(capsys, *argv, "--json"))
    assert len(found["designs"]) == 3
    assert [d["latency_s"] for d in found["designs"]] == sorted(d["latency_s"] for d in found["designs"])
    assert "give a .html file" in run(capsys, *argv, "-o", "page.txt", code=2)
    assert "use lasnet_resnet_tiny" in run(capsys, "search", "--arch", "resnet_tiny", code=2)


def test_a_predictor_is_fitted_shown_and_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    records = ["--records", str(tmp_path)]
    where = ["--device", "zen4", "--threads", "2"]
    fitted = json.loads(run(capsys, "predictor", "fit", *where, *records, "--json"))
    assert Path(fitted["path"]) == tmp_path / "predictors" / "zen4-2.json" and fitted["kernels"] > 400
    assert [path.name for path in (tmp_path / "predictors").iterdir()] == ["zen4-2.json"]
    assert "measured kernels" in run(capsys, "predictor", "show", *where, *records)
    run(capsys, "predict", *TINY, *where, *records)
    Path(fitted["path"]).write_text("{}")
    assert "fit it anew" in run(capsys, "predict", *TINY, *where, *records, code=2)


def test_what_ships_is_what_fit_makes_of_the_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "again.json"
    run(capsys, "predictor", "fit", "--device", "zen4", "--threads", "2", "-o", str(path))
    shipped = json.loads((Path("schedules") / "records" / "predictors" / "zen4-2.json").read_text())
    again = json.loads(path.read_text())
    assert again["rates"] == pytest.approx(shipped["rates"], rel=1e-3)
    assert len(again["anchors"]) == len(shipped["anchors"])


def test_a_device_without_rows_says_how_to_get_some(capsys: pytest.CaptureFixture[str]) -> None:
    err = run(capsys, "predictor", "fit", "--device", "raspberry-pi4", code=2)
    assert "0 kernels of raspberry-pi4" in err and "lascompile measure makes rows" in err
    assert "v100 is a GPU" in run(capsys, "predictor", "evaluate", "--device", "v100", code=2)
    assert "nothing was fitted" in run(capsys, "predictor", "show", "--device", "generic-avx2", code=2)


def test_devices_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "device", "list")
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(DEVICES)
    assert len(json.loads(run(capsys, "device", "list", "--json"))["devices"]) == len(DEVICES)
    assert "memory_bytes_per_s" in run(capsys, "device", "show", "host")


@pytest.mark.slow
def test_evaluation_has_every_split(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["predictor", "evaluate", "--device", "zen4", "--threads", "2"]
    found = json.loads(run(capsys, *argv, "--json"))
    by_split = {one["split"]: one["predictor"]["mape"] for one in found["splits"]}
    assert set(by_split) == {"rate", "granularity", "map size", "shape", "algorithm"}
    assert by_split["rate"] < 5 and by_split["granularity"] < 6 and by_split["shape"] < 8
    assert found["covered"] > 85
    assert "held out" in run(capsys, *argv)
