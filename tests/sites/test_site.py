"""What the forms of a convolution are expected to meet, and what programs make of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.lower.draft import Draft
from lascompile.lower.emit import emit
from lascompile.lower.kernels import ScheduledKernel, Scheduler
from lascompile.lower.lower import analyse, draft
from lascompile.plan.plan import Plan
from lascompile.sites.activity import Activity, Decided, Dilated
from lascompile.sites.domain import region_of, window_shape
from lascompile.sites.site import Site, SiteForm
from lascompile.target import parse_target
from lascompile.workload import ConvWorkload, WinogradWorkload
from tests.lower.tiling import domain_of, window_of
from tests.masked_nets import masked_network
from tests.tune.tiled import Site as Tiled

SCHEDULER = Scheduler(parse_target("llvm -mcpu=skylake-avx512"), 1)


def form_of(size: int, patch: int, dilated: bool) -> SiteForm:
    """A convolution over rows where a mask is on, or where a 3x3 behind it reads."""
    rows, window = region_of(domain_of(1, (size, size), patch)), window_of((size, size))
    pixels = size * size
    workload = ConvWorkload(pixels, pixels, 1, 1, 8, 8, gathers=True, counted=True, scatters=False)
    return SiteForm(workload, Activity(Dilated(window_shape(window, 1), rows) if dilated else rows))


def test_a_convolution_without_a_mask_meets_all_rows() -> None:
    form = form_of(8, 2, dilated=False)
    dense = SiteForm(replace(form.workload, counted=False), Activity())
    assert (dense.count(), dense.share) == (64.0, 1.0)


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.75])
def test_halo_makes_the_share_larger_the_finer_the_patches_are(rate: float) -> None:
    plain = [form_of(16, patch, dilated=False).count(rate) / 256 for patch in (1, 2, 4)]
    assert plain == pytest.approx([rate] * 3, abs=0.02)
    halo = [form_of(16, patch, dilated=True).count(rate) / 256 for patch in (1, 2, 4)]
    assert 1.0 >= halo[0] >= halo[1] > halo[2] > rate


def test_tiles_that_are_larger_than_patches_meet_more_than_the_rate() -> None:
    shares = {
        (m, patch): SiteForm(site.workload, site.activity).share
        for m in (2, 4)
        for patch in (2, 4)
        for site in [Tiled(m, (16, 16), patch)]
    }
    # No tile straddles patches: one of side 4 in a patch of side 2 is active as often as the patch is.
    assert all(share == pytest.approx(0.5, abs=0.02) for share in shares.values())
    dense = Tiled(2, (16, 16), 0)
    assert SiteForm(dense.workload, dense.activity).share == 1.0


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> Draft:
    path = tmp_path_factory.mktemp("sites") / "m.onnx"
    onnx.save(masked_network(head=True, blocks=2), path)
    graph = simplify(load_model(path, None)).graph
    return draft(graph, analyse(graph), SCHEDULER)


def test_every_convolution_is_a_site_with_all_its_forms(drafted: Draft) -> None:
    sites = {site.node: site for site in drafted.sites}
    assert {"stem", "b0.conv1", "b0.conv2", "b1.conv2"} <= sites.keys()
    kinds = [type(form.workload) for form in sites["b0.conv2"].forms]
    assert kinds == [ConvWorkload, WinogradWorkload, WinogradWorkload]
    assert sites["b0.conv2"].granularity == (4, 4) and sites["stem"].granularity is None
    first, second = (sites[node].forms[0] for node in ("b0.conv1", "b0.conv2"))
    assert isinstance(first.activity.rows, Dilated) and isinstance(second.activity.rows, Decided)
    assert 1 > first.share > second.share == pytest.approx(0.5, abs=0.01)


def kernels_of(sites: list[Site], kind: type) -> list[ScheduledKernel]:
    """The kernels of `sites` in the first form of a `kind` that they have."""
    name = "direct" if kind is ConvWorkload else "winograd2"
    names = {site.node: name for site in sites for form in site.forms if isinstance(form.workload, kind)}
    return replace(SCHEDULER, plan=Plan(names)).plan_sites(sites)


def test_one_draft_becomes_a_program_by_any_choice(drafted: Draft) -> None:
    """With the lists and tables of the forms that were chosen, each once and before it is read."""
    for kind, has_tables in ((ConvWorkload, False), (WinogradWorkload, True)):
        program = emit(drafted, kernels_of(drafted.sites, kind))
        labels = [step.kernel.label for step in program.steps]
        assert ("tile_table" in labels) == has_tables
        written: set[int] = set()
        made = {id(buffer.root) for step in program.steps if step.part == "lists" for buffer in step.outputs}
        for step in program.steps:
            outputs = {id(buffer.root) for buffer in step.outputs}
            reads = {id(buffer.root) for buffer in step.arguments} - outputs
            assert reads & made <= written, step.kernel.label
            assert step.part != "lists" or not outputs & written
            assert step.node, step.kernel.label
            written |= outputs
        assert made <= {id(b.root) for step in program.steps for b in step.arguments}


def test_sites_of_one_network_are_equal_whenever_they_are_made(tmp_path: Path, drafted: Draft) -> None:
    """Sites are what tasks are made of: equal ones are equal, whatever program they came from."""
    graph = simplify(load_model(_saved(tmp_path), None)).graph
    again = draft(graph, analyse(graph), SCHEDULER)
    assert [site.forms for site in again.sites] == [site.forms for site in drafted.sites]


def _saved(folder: Path) -> Path:
    onnx.save(masked_network(head=True, blocks=2), folder / "m.onnx")
    return folder / "m.onnx"
