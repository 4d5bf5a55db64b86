"""Where Winograd convolutions are expected to pay: the 3x3 convolutions of LASNet-50's stages, at batch 1."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lascompile.lower.tiles import cut_into_tiles
from lascompile.plan.choice import Chooser
from lascompile.plan.plan import Plan
from lascompile.schedules.numerics import Numerics
from lascompile.sites.activity import Activity, Tiles
from lascompile.sites.domain import granularity_of, region_of
from lascompile.sites.site import Site, SiteForm
from lascompile.workload import ConvWorkload, WinogradWorkload
from tests.kernels.calling import target_of
from tests.lower.tiling import domain_of, window_of

NO_TILES = ("llvm -mcpu=cascadelake", "llvm -mcpu=haswell", "llvm -mcpu=emeraldrapids -mattr=-amx-tile,-amx-bf16")


@dataclass(frozen=True)
class Stage:
    """A map of size x size pixels, and patches of `patch` (0: dense)."""

    size: int
    channels: int
    patch: int

    def site(self) -> Site:
        """The convolution in all its forms."""
        size, pixels, counted = (self.size, self.size), self.size**2, self.patch > 0
        domain = domain_of(1, size, self.patch) if counted else None
        rows = None if domain is None else region_of(domain)
        over_rows = ConvWorkload(pixels, pixels, 9, 1, self.channels, self.channels, True, counted, False)
        forms = [SiteForm(over_rows, Activity(rows))]
        for m in (2, 4):
            tiling = cut_into_tiles(window_of(size), 1, m, domain)
            over_tiles = WinogradWorkload(m, tiling.tiles, pixels, pixels, self.channels, self.channels, counted)
            forms.append(SiteForm(over_tiles, Activity(rows, tiles=Tiles.of(tiling.inputs, tiling.outputs))))
        return Site("conv", tuple(forms), granularity_of(domain))


def chosen(stage: Stage, target: str, numerics: Numerics = Numerics.FAST, threads: int = 2) -> str:
    return Chooser(target_of(target), threads, numerics, Plan()).choose(stage.site()).candidate.algorithm.name


STAGES = {
    "patches of four": (Stage(56, 64, 4), "winograd4"),
    "patches of four, stage 2": (Stage(28, 128, 4), "winograd4"),
    "patches of two, stage 3": (Stage(14, 256, 2), "winograd2"),
    "single pixels": (Stage(14, 256, 1), "direct"),
    "stage 4, whose weights cost more than its products": (Stage(7, 512, 1), "direct"),
    "dense": (Stage(56, 64, 0), "winograd4"),
}


@pytest.mark.parametrize("target", NO_TILES)
@pytest.mark.parametrize("name", STAGES)
def test_stages(name: str, target: str) -> None:
    stage, algorithm = STAGES[name]
    assert chosen(stage, target) == algorithm


@pytest.mark.parametrize("target", [*NO_TILES, "llvm -mcpu=sapphirerapids", "llvm -mtriple=aarch64-linux-gnu"])
@pytest.mark.parametrize("name", STAGES)
def test_exact_numerics_never_take_a_fast_algorithm(name: str, target: str) -> None:
    assert chosen(STAGES[name][0], target, Numerics.EXACT) == "direct"
