"""Data sheets: names, files, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lascompile.errors import UsageError
from lascompile.machine import DEVICES, find_device, host
from lascompile.machine.sheet import read_sheet


@pytest.mark.parametrize(
    ("name", "tflops"),
    [("v100", 15.7), ("rtx3090", 35.6), ("a100", 19.5), ("h100", 62), ("jetson-tx2", 0.67), ("jetson-orin", 5.3)],
)
def test_peaks_are_those_that_the_vendors_name(name: str, tflops: float) -> None:
    assert DEVICES[name].peak_flops_per_s / 1e12 == pytest.approx(tflops, rel=0.02)


@pytest.mark.parametrize("name", DEVICES)
def test_every_row_says_where_its_numbers_are_from(name: str) -> None:
    sheet = find_device(name)
    assert sheet.name == name
    assert len(sheet.source) > 20
    assert sheet.engine_bytes_per_s <= sheet.memory_bytes_per_s


def test_a_device_can_be_a_file(tmp_path: Path) -> None:
    sheet = replace(DEVICES["a100"], name="mine", memory_bytes_per_s=1e12)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(sheet.to_dict()))
    assert find_device(str(path)) == sheet


def test_a_misspelt_name_gets_the_right_one() -> None:
    with pytest.raises(UsageError, match="did you mean jetson-orin"):
        find_device("jetson-orion")
    with pytest.raises(UsageError, match="known are v100"):
        find_device("abacus")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clock_hz": 0}, "clock_hz is 0, but it must be positive"),
        ({"clock_hz": "fast"}, "clock_hz is 'fast', but it must be a number"),
        ({"engines": 1.5}, "engines is 1.5, but it must be a whole number"),
        ({"kind": "tpu"}, "allowed are cpu and gpu"),
        ({"watts": 300}, "'watts' is no field"),
        ({"schema": 9}, "has schema 9"),
        ({"tensor_unit": {"fmas_per_cycle": {}}}, "tensor_unit should be like"),
        ({"tensor_unit": 3}, "tensor_unit should be like"),
    ],
)
def test_what_is_no_data_sheet_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "device.json"
    path.write_text(json.dumps(DEVICES["v100"].to_dict() | change))
    with pytest.raises(UsageError, match=message):
        read_sheet(path)


def test_whole_numbers_may_be_written_with_a_point(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    path.write_text(json.dumps(DEVICES["zen4"].to_dict() | {"engines": 2.0, "vector_lanes": 16.0}))
    sheet = read_sheet(path)
    assert sheet == DEVICES["zen4"] and type(sheet.engines) is int


def test_a_file_that_lacks_a_field_or_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    stored = DEVICES["v100"].to_dict()
    del stored["launch_s"]
    path.write_text(json.dumps(stored))
    with pytest.raises(UsageError, match="'launch_s' is missing"):
        read_sheet(path)
    path.write_text("[]")
    with pytest.raises(UsageError, match="should be an object"):
        read_sheet(path)
    path.write_bytes(b"\xff{")
    with pytest.raises(UsageError, match="is no JSON"):
        read_sheet(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_sheet(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("processor", "features", "model", "family", "name"),
    [
        ("x86_64", {"avx2", "avx512f"}, "AMD EPYC", 25, "zen4"),
        ("x86_64", {"avx2", "avx512f"}, "AMD EPYC", 26, "zen5"),
        ("x86_64", {"avx2", "avx512f"}, "Intel Xeon", 6, "generic-avx512"),
        ("x86_64", {"avx2", "avx512f", "amx-bf16"}, "Intel Xeon", 6, "emerald-rapids"),
        ("x86_64", {"avx2"}, "AMD EPYC", 23, "generic-avx2"),
        ("aarch64", set(), "Cortex-A72", 0, "raspberry-pi4"),
    ],
)
def test_the_host_is_like_the_nearest_device(
    monkeypatch: pytest.MonkeyPatch, processor: str, features: set[str], model: str, family: int, name: str
) -> None:
    given = {"processor": processor, "host_features": frozenset(features), "cpu_model": model, "cpu_family": family}
    for function, value in given.items():
        monkeypatch.setattr(host, function, lambda value=value: value)
    monkeypatch.setattr(host, "physical_cores", lambda: 7)
    sheet = host.host_sheet()
    assert (sheet.name, sheet.engines) == (name, 7)
