"""What true shares change is told for networks of the zoo."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from lascompile.target import parse_target
from tests.benchmarks.scripts import loaded

TARGET = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell")


@pytest.fixture(scope="module")
def plan_shares() -> Iterator[ModuleType]:
    with loaded("plan_shares") as module:
        yield module


def test_every_form_has_a_share_and_changes_save_time(plan_shares: ModuleType) -> None:
    sites = plan_shares.sites_of("lasnet_resnet_tiny", (2, 2, 1, 1), 32)
    shown = list(plan_shares.shares(sites))
    assert any("gather" in line for line in shown)
    changed, total = plan_shares.changes(sites, TARGET)
    assert total > 0
    assert all(change.by_share.cost.seconds <= change.by_rate.cost.seconds for change in changed)


def test_half_of_all_rows_is_what_is_thought_otherwise(plan_shares: ModuleType) -> None:
    sites = plan_shares.sites_of("lasnet_resnet_tiny", (2, 2, 1, 1), 32)
    form = next(site.forms[0] for site in sites if site.forms[0].workload.counted)
    nominal = plan_shares.NominalForm(form.workload, form.activity)
    assert nominal.count() == form.workload.most * 0.5 < form.count()
