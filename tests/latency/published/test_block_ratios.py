"""Dynamic over static latency of a stride-1 bottleneck, at r = 0.3, 0.5 and 0.7, for each device, stage and S."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lascompile.latency.published import PUBLISHED_DEVICES, SimulatedBlock
from lascompile.latency.published.blocks import BlockSimulator

RATES = (0.3, 0.5, 0.7)
_STAGES = {"1": (256, 56), "2": (512, 28), "3": (1024, 14), "4": (2048, 7)}


def _stored() -> Iterator[tuple[str, str, int, tuple[float, ...]]]:
    for line in (Path(__file__).parent / "block_ratios.txt").read_text().splitlines():
        where, *values = line.partition(" S")[::2]
        device, _, stage = where.split()
        for entry in ("S" + values[0]).split("; "):
            name, ratios = entry.split()
            yield device, stage, int(name[1:]), tuple(float(ratio) for ratio in ratios.split("/"))


@pytest.mark.parametrize(("device", "stage"), sorted({(device, stage) for device, stage, _, _ in _stored()}))
def test_ratios_are_those_of_the_published_simulator(device: str, stage: str) -> None:
    channels, side = _STAGES[stage]
    hardware = PUBLISHED_DEVICES[device]
    simulator = BlockSimulator(hardware, hardware.batch, SimulatedBlock(channels, channels, side, side))
    static = simulator.static()
    expected = {side: ratios for at, where, side, ratios in _stored() if (at, where) == (device, stage)}
    assert expected
    for granularity, ratios in expected.items():
        found = [simulator.spatial(granularity, rate) / static for rate in RATES]
        assert found == pytest.approx(ratios, abs=6e-4), granularity
