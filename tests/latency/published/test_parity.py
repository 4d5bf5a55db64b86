"""The values that the published simulator printed, run unmodified: see `source` in parity.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from lascompile.latency.published import PUBLISHED_DEVICES, PUBLISHED_NETWORKS, SimulatedBlock
from lascompile.latency.published.blocks import BlockSimulator, Fusion

STORED = json.loads((Path(__file__).parent / "parity.json").read_text())
_DRAWN_TOLERANCE = 0.005  # the original draws channels without a seed
_TOLERANCE = 0.0001
_FUSED: dict[str, Fusion] = {"none": "none", "m_forced": "masker", "mgs_forced": "scatter"}


def _block(simulator: BlockSimulator, value: dict[str, Any], granularity: int | None) -> float:
    match value["mode"]:
        case "static":
            return simulator.static()
        case "spatial":
            assert granularity is not None
            return simulator.spatial(granularity, value["r"])
        case "layer":
            return simulator.layer(value["density"])
        case "channel":
            return simulator.channel(value["density"], value["G"])
        case "fusion":
            assert granularity is not None
            return simulator.fusion(granularity, value["r"], _FUSED[value["fusion"]])
    raise AssertionError(value["mode"])


def _latency(value: dict[str, Any]) -> float:
    device, batch = PUBLISHED_DEVICES[value["device"]], value["batch"]
    sides = value.get("S")
    if "block" in value:
        stored = value["block"]
        shape = SimulatedBlock(
            stored["c_in"], stored["c_out"], stored["h"], stored["w"], stored["b"],
            stored["n_groups"], stored["down"], stored["is_se"],
        )  # fmt: skip
        return _block(BlockSimulator(device, batch, shape), value, sides)
    network = PUBLISHED_NETWORKS[value["network"]]
    return network.latency(device, batch, lambda simulator, stage: _block(simulator, value, sides and sides[stage]))


@pytest.mark.parametrize("value", STORED["values"], ids=[value["id"] for value in STORED["values"]])
def test_it_says_what_the_published_simulator_says(value: dict[str, Any]) -> None:
    tolerance = _DRAWN_TOLERANCE if value["mode"] == "channel" else _TOLERANCE
    assert _latency(value) == pytest.approx(value["value"], rel=tolerance)


@pytest.mark.parametrize("name", STORED["devices"])
def test_devices_are_those_of_the_original(name: str) -> None:
    stored, device = STORED["devices"][name], PUBLISHED_DEVICES[name]
    assert (device.engines, device.lanes) == (stored["n_pes"], stored["lanes_per_pe"])
    assert (device.frequency_hz, device.bytes_per_s) == (stored["frequency_hz"], stored["bytes_per_s"])
    assert (device.batch, device.cache_speedup) == (stored["default_batch"], stored["l2_speed_frac"])
