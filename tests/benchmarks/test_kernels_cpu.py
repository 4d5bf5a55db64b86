"""The benchmark of kernels, at sizes that take seconds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lascompile.bench.stage_kernels import Stage
from tests.benchmarks.scripts import loaded

TINY = Stage(number=2, size=8, channels=16, granularity=4)


@pytest.fixture(scope="module")
def script():
    with loaded("kernels_cpu") as module:
        yield module


@pytest.fixture(scope="module")
def results(script):
    settings = script.Settings(script.CalmRounds(rounds=2, block=2, attempts=1), memory_bytes=1 << 20)
    return script.measure([(TINY, "conv2"), (TINY, "conv3")], [0.5, 1.0], [1], settings)


def test_every_algorithm_is_held_against_its_peak(results):
    rows = results["rows"]
    algorithms = {(row["conv"], row["algorithm"]) for row in rows}
    assert algorithms >= {("conv2", "direct"), ("conv2", "winograd2"), ("conv2", "winograd4"), ("conv3", "direct")}
    assert len(rows) == 2 * 2 * len(algorithms)  # rates, warm and cold
    assert {"gemm", "memory", "second_level"} <= results["peaks"]["1"].keys()
    for row in rows:
        low, middle, high = row["share"]
        assert 0 < low <= middle <= high
        assert row["flops_per_s"] == pytest.approx(row["flops"] / row["time_s"][1])
        assert row["empty_s"] > 0


def test_what_is_counted(results):
    rows = {(row["conv"], row["rate"], row["algorithm"], row["weights"]): row for row in results["rows"]}
    half, whole = (rows["conv2", rate, "direct", "warm"] for rate in (0.5, 1.0))
    # Two of four patches, all of 64 pixels.
    assert (half["rows"], whole["rows"]) == (32, 64)
    assert whole["flops"] == whole["done"] == 2 * 64 * 9 * 16 * 16
    winograd = rows["conv2", 1.0, "winograd4", "cold"]
    assert (winograd["flops"], winograd["done"]) == (whole["flops"], 2 * 4 * 36 * 16 * 16)
    added = rows["conv3", 1.0, "direct", "warm"]
    # Weights; rows that are read, and written into a sum; a list.
    assert added["nbytes"] == 4 * (16 * 64 + 64 * 16 + 2 * 64 * 64 + 64)


def test_tables_and_plot_are_written(script, results, tmp_path):
    script.write(results, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"kernels_cpu.{ending}" for ending in ("json", "md", "png")}
    assert json.loads((tmp_path / "kernels_cpu.json").read_text())["rows"][0]["stage"] == 2
    text = (tmp_path / "kernels_cpu.md").read_text()
    assert "## 1 thread\n" in text and "- Matrix product, float32: **" in text
    assert "| 2 | conv2 | 0.5 | 32 | " in text
    assert (tmp_path / "kernels_cpu.png").read_bytes().startswith(b"\x89PNG")


def test_cold_weights_come_round_only_after_all_others(script):
    weights, like = script.Weights(1 << 20), np.zeros((100, 100), np.float32)
    taken = [weights.take(like) for _ in range(26)]
    addresses = [array.ctypes.data for array in taken]
    assert len(set(addresses[:25])) == 25 and addresses[25] == addresses[0]
    assert all(array.shape == like.shape and np.isfinite(array).all() for array in taken)
    assert np.abs(taken[0]).max() < 10
