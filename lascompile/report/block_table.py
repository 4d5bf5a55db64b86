"""Tables of blocks and operations for the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from lascompile.report.verification_table import show_error

Block = Mapping[str, Any]
"""As `lascompile.analysis.blocks.Block.to_dict` writes it, or a manifest holds it."""

_PARTS = {
    "stem": "stem",
    "shortcut": "shortcuts",
    "masker": "maskers",
    "attention": "attention",
    "other": "elsewhere",
    "head": "head",
}


_MOST_NAMES = 4


@dataclass(frozen=True)
class Unit:
    """What operations are counted in."""

    name: str
    flops: float

    def show(self, count: float) -> str:
        """Three digits, without a power of ten."""
        number = count / self.flops
        if 0 < number < 0.0005:
            return "<0.001"
        return f"{number:.3f}" if number < 1 else f"{number:.3g}" if number < 100 else f"{number:,.0f}"


def unit_for(flops: float) -> Unit:
    """GFLOPs for networks of the usual size, MFLOPs for small ones."""
    return Unit("GFLOPs", 1e9) if flops >= 1e9 else Unit("MFLOPs", 1e6)


def block_table(
    blocks: Sequence[Block], with_convolutions: bool = False, errors: Mapping[str, float | None] | None = None
) -> Table:
    """A row for each block; with `with_convolutions` one for each of its convolutions below it.

    Args:
        blocks: What to show.
        with_convolutions: Whether to show what they consist of.
        errors: Of the blocks by name, if they are known.
    """
    rate = blocks[0]["activation_rate"] if blocks else 0
    unit = unit_for(sum(block["flops"] for block in blocks))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for title in ("block", "kind"):
        table.add_column(title, overflow="fold")
    table.add_column("S", justify="right")
    table.add_column("output")
    table.add_column("computed at", overflow="fold")
    table.add_column(unit.name, justify="right")
    table.add_column(f"at r={rate:g}", justify="right")
    if errors is not None:
        table.add_column("error", justify="right", no_wrap=True)
    for block in blocks:
        error = [] if errors is None else [show_error(errors.get(block["name"]))]
        table.add_row(*_block_row(block, unit), *error, style=None if block["dynamic"] else "yellow")
        if with_convolutions:
            for convolution in block["convolutions"]:
                table.add_row(*_convolution_row(block, convolution, unit), style="dim")
    return table


def dense_reasons(blocks: Sequence[Block]) -> list[Text]:
    """Why blocks, or parts of them, skip nothing; blocks whose reasons differ in names alone share an entry."""
    alike: dict[tuple[str, str], list[Block]] = {}
    for block in blocks:
        if block["reason"] is not None:
            key = (_without_names(block["reason"]), _without_names(block["advice"] or ""))
            alike.setdefault(key, []).append(block)
    return [_entry(group) for group in alike.values()]


def _without_names(text: str) -> str:
    """Names of nodes have numbers or points in them."""
    return re.sub(r"\S*[\d.:/_]\S*", "…", text)


def _entry(group: Sequence[Block]) -> Text:
    names, first = [block["name"] for block in group], group[0]
    listed = ", ".join(names) if len(names) <= _MOST_NAMES else f"{len(names)} blocks, {names[0]} to {names[-1]}"
    differ = len({block["reason"] for block in group}) > 1
    reason = f"{first['reason']}{' (and so on)' if differ else ''}"
    advice = first["advice"]
    return Text.assemble((listed, "yellow"), ": ", reason, *(("\n  what to do: ", advice) if advice else ()))


def summary(blocks: Sequence[Block], flops: Mapping[str, Any]) -> list[str]:
    """What all blocks come to, and the rest of the network."""
    dynamic = sum(bool(block["dynamic"]) for block in blocks)
    whole = "One block skips" if len(blocks) == 1 else f"All {len(blocks)} blocks skip"
    skipping = whole if dynamic == len(blocks) else f"{dynamic} of {len(blocks)} blocks skip"
    unit = unit_for(sum(block["flops"] for block in blocks) or flops["dense"])
    counted = f"{unit.show(flops['dense'])} {unit.name} an image"
    if not blocks:
        return [f"No residual block and no mask was found. {counted}, all of it dense."]
    share = flops["at_rate"] / flops["dense"]
    lines = [
        f"{skipping} work where the mask is off.",
        f"{counted}; {unit.show(flops['at_rate'])} ({share:.0%}) at an activation rate of "
        f"{flops['activation_rate']:g}, if patches are active independently of each other.",
    ]
    if "skippable" in flops:
        lines.append(f"{flops['skippable']:.0%} of them are in convolutions that masks skip pixels of.")
    demands = {convolution["demand"] for block in blocks for convolution in block["convolutions"]}
    if any(" dilated by " in demand for demand in demands):
        lines.append("mask+1: where the mask is on, and 1 pixel around that, which the next convolution reads.")
    parts = flops.get("parts", {})
    always = {title: parts[part]["dense"] for part, title in _PARTS.items() if part in parts}
    if always:
        listed = ", ".join(f"{title} {unit.show(count)}" for title, count in always.items())
        total = sum(always.values())
        lines.append(f"Outside the branches: {unit.show(total)} {unit.name} ({total / flops['dense']:.0%}): {listed}.")
    return lines


def _block_row(block: Block, unit: Unit) -> list[str]:
    branch = [convolution for convolution in block["convolutions"] if convolution["part"] == "branch"]
    return [
        block["name"],
        block["kind"],
        _granularity(block),
        _by(block["shape"]),
        _demands([convolution["demand"] for convolution in branch]),
        unit.show(block["flops"]),
        unit.show(block["flops_at"]),
    ]


def _convolution_row(block: Block, convolution: Mapping[str, Any], unit: Unit) -> list[str]:
    module = convolution["module"].removeprefix(f"{block['name']}.")
    return [
        f"  {module}",
        convolution["part"],
        "",
        f"{_by(convolution['kernel'])} {convolution['in_channels']}→{convolution['out_channels']}",
        _demands([convolution["demand"]]),
        unit.show(convolution["flops"]),
        unit.show(convolution["flops_at"]),
    ]


def _granularity(block: Block) -> str:
    granularity = block["granularity"]
    if granularity is None:
        return "-"
    return str(granularity) if isinstance(granularity, int) else _by(granularity)


def _demands(demands: Sequence[str]) -> str:
    """`mask dilated by 1` as `mask+1`; what all convolutions have in common only once."""
    short = [demand.replace(" dilated by ", "+") for demand in demands]
    return short[0] if len(set(short)) == 1 else ", ".join(short)


def _by(sizes: Sequence[int]) -> str:
    return "×".join(map(str, sizes))
