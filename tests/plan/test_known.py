from __future__ import annotations

from dataclasses import replace

import pytest

from lascompile.kernels import row_conv
from lascompile.plan import known
from lascompile.plan.known import known_algorithms
from lascompile.schedules.cpu import fingerprints, winograd_weights
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.workload import CompactWorkload, WinogradWorkload
from tests.records.samples import DENSE, GATHER

TILES = WinogradWorkload(2, 16, 64, 64, 12, 16, counted=True)


@pytest.fixture(autouse=True)
def fresh():
    """What was computed of other definitions is not kept, nor is what is computed of changed ones."""
    known._fingerprint.cache_clear()
    yield
    known._fingerprint.cache_clear()


def test_every_algorithm_has_a_fingerprint():
    found = known_algorithms(GATHER, "llvm")
    assert list(found) == ["direct", "bf16x3"]
    assert all(found[name].decisions is ALGORITHMS[name].decisions for name in found)
    assert len({item.definition for item in found.values()}) == len(found)
    assert all(len(item.definition) == 12 for item in found.values())


@pytest.mark.parametrize("groups", [32, 64])
def test_algorithms_that_cannot_compute_it_are_left_out(groups):
    assert list(known_algorithms(replace(GATHER, groups=groups), "llvm")) == ["direct"]


def test_only_those_asked_for():
    assert list(known_algorithms(GATHER, "llvm", ["direct"])) == ["direct"]


def test_kernels_without_decisions_have_none():
    assert known_algorithms(CompactWorkload(4), "llvm") == {}


def test_fingerprints_follow_the_workload_and_the_definition(monkeypatch):
    before = known_algorithms(GATHER, "llvm")["direct"].definition
    assert known_algorithms(DENSE, "llvm")["direct"].definition != before
    known._fingerprint.cache_clear()
    assert known_algorithms(GATHER, "llvm")["direct"].definition == before

    def doubled(workload, width):
        return row_conv.define_row_conv(replace(workload, rows=2 * workload.rows), width)

    monkeypatch.setattr(fingerprints, "define_row_conv", doubled)
    known._fingerprint.cache_clear()
    assert known_algorithms(GATHER, "llvm")["direct"].definition != before


@pytest.mark.parametrize(
    ("of", "method"),
    [
        (winograd_weights.PackedWeights, "step"),
        (winograd_weights.PanelWeights, "start"),
        (winograd_weights.PanelWeights, "before"),
        (winograd_weights.PanelWeights, "step"),
    ],
)
def test_fingerprints_follow_every_way_that_weights_come(of, method, monkeypatch):
    before = known_algorithms(TILES, "llvm")["winograd2"].definition
    monkeypatch.setattr(of, method, lambda *arguments: None)
    known._fingerprint.cache_clear()
    assert known_algorithms(TILES, "llvm")["winograd2"].definition != before


def test_sums_in_parts_have_a_part_of_the_fingerprint(monkeypatch):
    before = known_algorithms(GATHER, "llvm")["bf16x3"].definition
    monkeypatch.setattr(fingerprints, "can_cut_depth", lambda workload, parts: parts == 1)
    known._fingerprint.cache_clear()
    assert known_algorithms(GATHER, "llvm")["bf16x3"].definition != before


def test_one_channel_cannot_be_cut():
    assert list(known_algorithms(replace(TILES, in_channels=1), "llvm")) == ["winograd2"]
