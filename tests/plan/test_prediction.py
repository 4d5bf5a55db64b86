"""Which data sheet speaks for a target, and that costs are seconds with an interval."""

from __future__ import annotations

import pytest

from lascompile.machine import DEVICES
from lascompile.plan.cost import PREDICTED
from lascompile.plan.prediction import PredictedCosts, sheet_for
from lascompile.schedules.cpu.algorithms import DIRECT
from lascompile.target import parse_target
from tests.records.samples import GATHER

X86 = "llvm -mtriple=x86_64-linux-gnu -mcpu="


@pytest.mark.parametrize(
    ("text", "device", "lanes", "registers"),
    [
        (f"{X86}znver4", "zen4", 16, 32),
        (f"{X86}znver4 -mattr=-avx512f", "zen4", 8, 16),
        (f"{X86}emeraldrapids", "emerald-rapids", 16, 32),
        (f"{X86}sapphirerapids", "emerald-rapids", 16, 32),
        (f"{X86}emeraldrapids -mattr=-amx-tile,-amx-bf16", "emerald-rapids", 16, 32),
        (f"{X86}cascadelake", "generic-avx512", 16, 32),
        (f"{X86}znver3", "generic-avx2", 8, 16),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72", "raspberry-pi4", 4, 32),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78", "raspberry-pi4", 4, 32),
    ],
)
def test_a_target_has_the_sheet_of_the_device_most_like_it(text: str, device: str, lanes: int, registers: int) -> None:
    sheet = sheet_for(parse_target(text))
    assert (sheet.name, sheet.vector_lanes, sheet.vector_registers) == (device, lanes, registers)
    known = DEVICES[device]
    assert sheet.fmas_per_cycle * known.vector_lanes == pytest.approx(known.fmas_per_cycle * lanes)


@pytest.mark.parametrize(("arch", "device"), [("sm_70", "v100"), ("sm_87", "jetson-orin"), ("sm_62", "jetson-tx2")])
def test_a_gpu_has_that_of_its_architecture(arch: str, device: str) -> None:
    assert sheet_for(parse_target(f"cuda -arch={arch}")).name == device


def test_a_cost_is_seconds_with_an_interval() -> None:
    target = parse_target(f"{X86}znver4")
    decisions = DIRECT.decide(GATHER, target, 2)
    half, all_of_it = (PredictedCosts(target, 2).cost(DIRECT, GATHER, decisions, GATHER.rows * r) for r in (0.5, 1.0))
    assert half.source == PREDICTED and half.low_s < half.seconds < half.high_s
    assert half.seconds < all_of_it.seconds < 1.0
