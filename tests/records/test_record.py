from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lascompile import __version__
from lascompile.records import Failure, Latency, Record, TargetKey, Versions, timestamp
from lascompile.target import CudaTarget, parse_target
from tests.records.samples import TASK, record

SOME = [
    record(),
    record(None, failure=Failure("wrong", "é\nlargest error 0.3")),
    record(seed=3, trial=17, trace=[["SplitStep", [1, 2.5, None]]], activation_rate=0.1, batch=4, device=""),
]


@pytest.mark.parametrize("item", SOME)
def test_a_record_comes_back(item):
    stored = json.loads(json.dumps(item.to_json()))
    assert Record.from_json(stored) == item
    assert Record.from_json(stored).identity == item.identity


def test_records_have_identities_of_their_own():
    assert len({item.identity for item in SOME}) == len(SOME)
    assert all(len(item.identity) == 12 for item in SOME)


def test_units_are_in_the_names_of_stored_numbers():
    stored = record(latency=Latency(1e-3, 9e-4, 2e-3, 20)).to_json()
    assert stored["latency"] == {"median_s": 1e-3, "p10_s": 9e-4, "p90_s": 2e-3, "repeats": 20}
    assert stored["schema"] == 1


def test_fields_that_a_later_version_added_are_left_out():
    stored = record().to_json()
    later = {**stored, "cost_model": "xgb", "versions": {**stored["versions"], "python": "3.11"}}
    later["latency"] = {**stored["latency"], "p99_s": 1.0}
    assert Record.from_json(later) == Record.from_json(stored)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "a newer lascompile wrote it (schema 2, this one reads up to 1)"),
        ({"schema": None}, "it has no schema number"),
        ({"schema": True}, "it has no schema number"),
        ({"task": 3}, "task is no object"),
        ({"algorithm": 3}, "algorithm is 3, not str"),
        ({"latency": None}, "a record has either a latency or a failure"),
        ({"failure": {"reason": "x"}}, "a record has either a latency or a failure"),
        ({"decisions": [1]}, "decisions is [1], not dict"),
    ],
)
def test_what_is_no_record_is_refused(change, message):
    with pytest.raises(ValueError) as caught:
        Record.from_json({**record().to_json(), **change})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_rate": 1.1}, "activation_rate is 1.1, allowed is 0 to 1"),
        ({"activation_rate": float("nan")}, "activation_rate is nan, allowed is 0 to 1"),
        ({"threads": 0}, "threads is 0, at least 1 is needed"),
        ({"batch": 0}, "batch is 0, at least 1 is needed"),
    ],
)
def test_a_task_has_numbers_that_can_be(change, message):
    with pytest.raises(ValueError) as caught:
        record(**change)
    assert str(caught.value) == message


def test_a_long_error_is_cut():
    failure = Failure("build", "x" * 10_000)
    assert (len(failure.error), failure.error[-1]) == (2000, "…")


def test_statistics_of_latencies():
    assert Latency.of([3.0, 1.0, 2.0]) == Latency(2.0, pytest.approx(1.2), pytest.approx(2.8), 3)
    assert Latency.of([1.0]) == Latency(1.0, 1.0, 1.0, 1)
    assert type(Latency.of([1.0]).median_s) is float


@pytest.mark.parametrize("samples", [[], [0.0], [1.0, float("nan")], [-1.0]])
def test_latencies_are_positive(samples):
    with pytest.raises(ValueError, match="latencies have to be positive"):
        Latency.of(samples)


@given(st.lists(st.floats(1e-9, 10), min_size=1))
def test_statistics_are_in_order(samples):
    latency = Latency.of(samples)
    assert min(samples) <= latency.p10_s <= latency.median_s <= latency.p90_s <= max(samples)
    assert latency.repeats == len(samples)


def test_timestamps_are_utc_and_in_order():
    first, second = timestamp(), timestamp()
    assert first <= second
    assert datetime.fromisoformat(first).utcoffset() is not None
    assert first.endswith("+00:00") and len(first) == 32


def test_the_versions_are_those_of_this_process():
    versions = Versions.installed()
    assert (versions.lascompile, versions.tvm) == (__version__, "0.27.0.post1")
    assert int(versions.llvm) > 10


def test_keys_of_targets_leave_out_what_makes_no_difference():
    haswell = TargetKey.of(parse_target("llvm -mcpu=haswell -mtriple=x86_64-linux-gnu"))
    assert haswell == TargetKey("llvm", "x86_64", "haswell", ("avx", "avx2", "fma"))
    assert haswell == TargetKey.of(parse_target("llvm -mcpu=haswell -mtriple=x86_64-unknown-linux-gnu -mattr=-movbe"))
    assert haswell != TargetKey.of(parse_target("llvm -mcpu=haswell -mtriple=x86_64-linux-gnu -mattr=-fma"))
    narrow = TargetKey.of(parse_target("llvm -mcpu=skylake-avx512 -mattr=+prefer-256-bit -mtriple=x86_64-linux-gnu"))
    assert "+prefer-256-bit" in narrow.features
    arm = TargetKey.of(parse_target("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78"))
    assert (arm.arch, "neon" in arm.features) == ("aarch64", True)
    assert TargetKey.of(parse_target("cuda -arch=sm_70")) == TargetKey("cuda", "sm_70")
    assert (str(haswell), str(TargetKey("cuda", "sm_70"))) == ("llvm haswell", "cuda sm_70")


def test_tasks_can_be_told_apart():
    assert len({TASK, record().task, record(threads=4).task}) == 2


@pytest.mark.parametrize(
    "text",
    [
        "llvm -mtriple=x86_64-linux-gnu -mcpu=sapphirerapids",
        "llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -mattr=+prefer-256-bit",
        "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78",
        "cuda -arch=sm_70",
    ],
)
def test_a_target_of_a_key(text):
    """It has the vectors of the one that the key was made of, or the limits."""
    of = parse_target(text)
    made = TargetKey.of(of).target()
    assert TargetKey.of(made) == TargetKey.of(of)
    if isinstance(of, CudaTarget):
        assert made == of
    else:
        assert (made.lanes, made.vector_registers, made.isa) == (of.lanes, of.vector_registers, of.isa)
