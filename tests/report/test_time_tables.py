from dataclasses import replace

from rich.console import Console

from lascompile.report.block_times import KernelTime, sort_by_block
from lascompile.report.time_tables import block_table, footnotes, kernel_table, show_granularity
from tests.report.specs import BLOCKS, MASKS, PROFILE, manifest


def report():
    return sort_by_block(manifest(BLOCKS, MASKS), PROFILE, 0.03, threads=2, repeats=7)


def rendered(table, width=80):
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_row_a_block_the_rest_and_the_total():
    heading, block, outside, total = (line for line in rendered(block_table(report())) if line)
    assert heading.split() == [
        "block", "S", "rate", "halo", "FLOPs", "masker", "lists", "conv", "scatter", "other", "ms", "share", "GFLOP/s",
    ]  # fmt: skip
    assert block.split()[:11] == [
        "layer1.0",
        "4",
        "0.50",
        "0.75",
        "0.67",
        "1.00",
        "2.00",
        "3.00",
        "4.00",
        "5.00",
        "15.00",
    ]
    assert outside.split() == ["outside", "10.00", "10.00", "40%"]
    assert total.split()[:2] == ["total", "0.67"]
    assert "25.00" in total


def test_a_part_that_takes_no_time_has_no_column():
    masks_only = replace(PROFILE, steps=PROFILE.steps[2:4])
    table = block_table(sort_by_block(manifest(BLOCKS, MASKS), masks_only, 0.03, 1, 1))
    assert rendered(table)[0].split()[5:7] == ["conv", "scatter"]


def test_the_table_of_a_deep_network_fits_into_80_columns():
    deep = report()
    row = replace(deep.blocks[0], name="layer3.22", latency_s={part: 0.00599 for part in deep.blocks[0].latency_s})
    lines = rendered(block_table(replace(deep, blocks=[row] * 33)), width=200)
    assert max(map(len, lines)) <= 80


def test_kernels_have_their_calls_and_share():
    assert rendered(kernel_table(report()))[1].split() == ["conv1x1", "2", "15.00", "60%"]


def test_a_name_that_tvm_made_is_cut():
    long = replace(report(), kernels=[KernelTime("fused_" * 20, 1, 0.001)])
    name = rendered(kernel_table(long))[1].split()[0]
    assert name.endswith("…")
    assert len(name) == 48


def test_the_notes_say_what_the_profiler_takes():
    assert "30.00 ms without the profiler and 40.00 ms under it (7 each, 2 threads)" in footnotes(report())[-1]


def test_granularity_in_words():
    assert [show_granularity(shape) for shape in ((4, 4), (4, 7), None)] == ["4", "4x7", ""]
