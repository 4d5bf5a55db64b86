"""What knowing the share of active rows changes: plans of networks of the zoo, by true shares and by the nominal rate.

A first convolution also computes the halo that the next one reads, and Winograd tiles may cover more than the active
pixels, so that a kernel meets more than the nominal half of its rows. The plan asks how many it is; before, it thought
of half of them in every form. The last column says what the choices by true shares should save of all convolutions'
time, as predicted; nothing is run.

    python benchmarks/plan_shares.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lower import analyse, draft
from lascompile.plan.candidate import Candidate
from lascompile.plan.choice import Chooser
from lascompile.plan.plan import Plan
from lascompile.sites.site import Site, SiteForm
from lascompile.target import Target, parse_target
from lascompile.tune.tasks import zoo_file
from lascompile.workload import NOMINAL_RATE

NETWORKS = (
    ("lasnet_resnet18", (4, 4, 2, 1)),
    ("lasnet_resnet18", (4, 2, 2, 1)),
    ("lasnet_resnet50", (4, 4, 2, 1)),
    ("lasnet_resnet50", (1, 1, 1, 1)),
    ("lasnet_resnet50", (2, 2, 2, 1)),
    ("lasnet_resnet101", (4, 4, 2, 1)),
)
TARGETS = {
    "Zen 4": "llvm -mtriple=x86_64-linux-gnu -mcpu=znver4",
    "Emerald Rapids": "llvm -mtriple=x86_64-linux-gnu -mcpu=emeraldrapids",
    "without tiles": "llvm -mtriple=x86_64-linux-gnu -mcpu=emeraldrapids -mattr=-amx-tile,-amx-bf16",
    "AVX2": "llvm -mtriple=x86_64-linux-gnu -mcpu=haswell",
    "Cortex-A72": "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72",
}
THREADS = 2


@dataclass(frozen=True)
class NominalForm(SiteForm):
    """A form of which half of all rows or tiles are expected, whatever they are."""

    def count(self, activation_rate: float = NOMINAL_RATE) -> float:
        """The rate, and no more."""
        return self.workload.most * (activation_rate if self.workload.counted else 1.0)


@dataclass(frozen=True)
class Change:
    """A convolution that gets another algorithm."""

    site: Site
    by_rate: Candidate
    by_share: Candidate


def changes(sites: Sequence[Site], target: Target) -> tuple[list[Change], float]:
    """The convolutions whose choice differs, and the predicted seconds of all by true shares."""
    chooser, found, total = Chooser(target, THREADS, Scheduler(target, THREADS).numerics, Plan()), list[Change](), 0.0
    for site in sites:
        choice = chooser.choose(site)
        forms = tuple(NominalForm(form.workload, form.activity) for form in site.forms)
        old = chooser.choose(replace(site, forms=forms)).candidate
        total += choice.candidate.cost.seconds
        if (old.algorithm, old.workload) != (choice.candidate.algorithm, choice.candidate.workload):
            same = next(one for one in choice.ranked if (one.algorithm, one.workload) == (old.algorithm, old.workload))
            found.append(Change(site, same, choice.candidate))
    return found, total


def shares(sites: Sequence[Site]) -> Iterator[str]:
    """By granularity and form, the range of shares of the dynamic kernels."""
    ranges: dict[tuple[object, str], list[float]] = {}
    for site in sites:
        for form in site.forms:
            if form.workload.counted:
                ranges.setdefault((site.granularity, form.workload.name()), []).append(form.share)
    for (granularity, name), found in sorted(ranges.items(), key=str):
        yield f"    S = {granularity}, {name}: {min(found):.2f} to {max(found):.2f}"


def sites_of(architecture: str, granularity: Sequence[int], size: int) -> list[Site]:
    """The convolutions of a network of the zoo on images of `size` x `size`."""
    with zoo_file(architecture, granularity, size) as file:
        graph = simplify(load_model(file)).graph
    return draft(graph, analyse(graph), Scheduler(parse_target("llvm"), THREADS)).sites


def main() -> None:
    """Print everything."""
    for architecture, granularity in NETWORKS:
        sites = sites_of(architecture, granularity, 224)
        print(f"{architecture}, S = {'-'.join(map(str, granularity))}: {len(sites)} convolutions")
        print("\n".join(shares(sites)))
        for name, text in TARGETS.items():
            found, total = changes(sites, parse_target(text))
            saved = sum(change.by_rate.cost.seconds - change.by_share.cost.seconds for change in found)
            print(f"  {name}: {len(found)} choices change, {100 * saved / total:.2f} % of {total * 1e3:.1f} ms")
            for change in found:
                before, after = change.by_rate, change.by_share
                told = (f"{one.algorithm.name} {one.cost.seconds * 1e6:.0f} µs" for one in (before, after))
                print(f"    {change.site.node}: {' → '.join(told)}")


if __name__ == "__main__":
    main()
