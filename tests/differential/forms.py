"""The family of masked networks: every way to write a decision, a mask and a gate, over all shapes."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice
from math import ceil, gcd

from hypothesis import strategies as st

from tests.analysis.networks import DECISIONS, GATES, UPSAMPLINGS, Form

BLOCKS = ("bottleneck", "basic", "single")
SIZES = ((12, 12), (8, 16), (13, 10), (14, 7), (9, 9))


def output_size(form: Form) -> tuple[int, int]:
    """Of the block's map."""
    height, width = form.size
    return ceil(height / form.stride), ceil(width / form.stride)


def fitting(form: Form) -> Form:
    """`form` with the numbers changed that contradict each other."""
    height, width = output_size(form)
    cells = min(form.cells[0], height), min(form.cells[1], width)
    if form.upsampling == "expand":  # repeats each cell equally often
        cells = gcd(cells[0], height), gcd(cells[1], width)
    if form.stride > 1:  # the second block's map would be smaller again
        form = replace(form, blocks=1)
    out_channels = form.channels * (2 if form.stride > 1 else 1)
    widths = (form.channels // 2, form.channels, out_channels)
    return replace(
        form,
        cells=cells,
        mask_groups=gcd(form.mask_groups, out_channels),
        conv_groups=gcd(form.conv_groups, *widths),
    )


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Any member of the family."""
    size, stride = draw(st.sampled_from(SIZES)), draw(st.sampled_from([1, 1, 2]))
    whole = (ceil(size[0] / stride), ceil(size[1] / stride))
    return fitting(
        Form(
            decision=draw(st.sampled_from(DECISIONS)),
            upsampling=draw(st.sampled_from(UPSAMPLINGS)),
            gate=draw(st.sampled_from(GATES)),
            block=draw(st.sampled_from(BLOCKS)),
            size=size,
            # Layer skipping, one decision a pixel, and patches, even or not.
            cells=draw(st.sampled_from([(1, 1), whole, (2, 2), (3, 2), (4, 4), (5, 3)])),
            batch=draw(st.integers(1, 3)),
            channels=draw(st.sampled_from([8, 12, 24])),
            mask_groups=draw(st.sampled_from([1, 1, 2, 4])),
            conv_groups=draw(st.sampled_from([1, 1, 2, 4])),
            stride=stride,
            dilation=draw(st.sampled_from([1, 1, 2])),
            batch_norm=draw(st.booleans()),
            blocks=draw(st.sampled_from([1, 1, 2])),
            opset=draw(st.sampled_from([13, 17])),
            seed=draw(st.integers(0, 99)),
        )
    )


def covering() -> list[Form]:
    """Forms among which each decision, upsampling, gate, block, size and number stands at least once."""
    count = max(len(DECISIONS), len(GATES))
    columns = {
        "decision": DECISIONS,
        "upsampling": UPSAMPLINGS,
        "gate": GATES,
        "block": BLOCKS,
        "size": SIZES,
        "cells": ((3, 3), (1, 1), (4, 2), (16, 16), (5, 3)),
        "batch": (1, 2, 3, 2),
        "channels": (8, 24, 12),
        "mask_groups": (1, 1, 2, 1, 4, 1, 1),
        "conv_groups": (1, 2, 1, 4),
        "stride": (1, 1, 2),
        "dilation": (1, 1, 1, 2),
        "batch_norm": (False, True),
        "opset": (17, 13),
    }
    rows = zip(*(islice(cycle(values), count) for values in columns.values()), strict=True)
    return [fitting(Form(**dict(zip(columns, row, strict=True)), seed=seed)) for seed, row in enumerate(rows)]
