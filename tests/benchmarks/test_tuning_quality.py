"""The search reaches 95 % of the best of a space in 64 trials; here of a model, in the script of measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.benchmarks.scripts import loaded
from tests.tune.tiny import PACKED, model_latency, task


@pytest.fixture(scope="module")
def script():
    with loaded("tuning_quality") as module:
        yield module


@pytest.fixture
def small(script):
    workload = replace(PACKED, in_channels=64, out_channels=128, rows=196, input_rows=196)
    return script.thinned(task(workload, threads=2), 400)


def points(tuned):
    return list(tuned.algorithm.space(tuned.workload, tuned.setting.target, tuned.setting.threads))


def test_spaces_are_thinned_and_keep_their_default(small):
    assert 200 < len(points(small)) <= 400
    assert small.algorithm.space(small.workload, small.setting.target, 2).default in points(small)


def test_search_comes_close_to_the_best(script, small, tmp_path):
    latencies = {point: model_latency(point) for point in points(small)}
    row = script.quality(small, latencies, seeds=(0, 1))
    assert row.points == len(latencies) and min(row.reached) >= script.WANTED
    script.write([row], tmp_path)
    assert "conv1x1" in (tmp_path / "tuning_quality.md").read_text()


@pytest.mark.slow
def test_sweep_measures_what_is_not_on_record(script, tmp_path):
    from lascompile.records import RecordStore

    tuned = script.thinned(task(PACKED), 12)
    said: list[str] = []
    first = script.sweep(tuned, RecordStore(tmp_path), said.append)
    again = script.sweep(tuned, RecordStore(tmp_path), said.append)
    assert first == again and set(first) <= set(points(tuned)) and first
    assert len(said) == -(-len(points(tuned)) // script.ROUND)
