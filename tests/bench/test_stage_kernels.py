"""Kernels of stages by themselves compute what the network computes."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.bench.stage_kernels import CONVOLUTIONS, STAGES, Stage, algorithms, call_of, forms_of, workload_of
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.workload import ConvWorkload, WinogradWorkload
from tests.kernels.calling import Kernel, target_of

TINY = Stage(number=1, size=8, channels=16, granularity=4)


def test_forms_of_the_stages():
    sides = {stage.number: [form.m for form in forms_of(stage, "conv2")[1:]] for stage in STAGES}
    assert sides == {1: [2, 4], 2: [2, 4], 3: [2], 4: []}
    assert all(forms_of(stage, conv) == [workload_of(stage, conv)] for stage in STAGES for conv in ("conv1", "conv3"))
    assert {a.name for a in algorithms(workload_of(TINY, "conv1"), target_of("llvm -mcpu=haswell"))} == {"direct"}


@pytest.mark.parametrize("conv", CONVOLUTIONS)
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_rows_and_operations(conv, rate):
    for stage in STAGES:
        for form in forms_of(stage, conv):
            call = call_of(stage, conv, form, rate)
            assert call.flops == 2 * call.rows * (9 if conv == "conv2" else 1) * form.in_channels * form.out_channels
            assert call.rows == {0.0: 0, 1.0: stage.pixels}.get(rate, call.rows) and call.rows <= stage.pixels
            expected = call.flops
            if isinstance(form, WinogradWorkload):  # whole patches are active: no output of a tile is in vain
                expected = call.flops * form.positions // (9 * form.m**2)
            assert call.flops_of_form == expected


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_tiles_compute_what_rows_do(m, rate):
    rng, outputs = np.random.default_rng(0), []
    weight = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    for form, name in zip(forms_of(TINY, "conv2"), ("direct", "winograd2", "winograd4"), strict=True):
        if name in ("direct", f"winograd{m}"):
            algorithm, call = ALGORITHMS[name], call_of(TINY, "conv2", form, rate)
            decisions = algorithm.decide(form, target_of("llvm"), 1)
            arrays = {**call.arrays, "weight": algorithm.pack(weight, form, decisions)}
            kernel = Kernel(algorithm.schedule(form, decisions))
            outputs.append(kernel(arrays)["output"][1 : call.rows + 1])
            assert isinstance(form, ConvWorkload) == (name == "direct")
    rows, tiles = outputs
    np.testing.assert_allclose(tiles, rows, rtol=0, atol=1e-4 * np.abs(rows).max())
