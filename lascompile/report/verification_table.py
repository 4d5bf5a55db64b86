"""What `build --verify` found, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

Verification = Mapping[str, Any]
"""As `lascompile.verify.outcome.Verification.to_dict` writes it, and a manifest holds it."""


def verification_table(verification: Verification, blocks: Sequence[Mapping[str, Any]]) -> Table:
    """A row a block: its error, and which algorithm computes which of its convolutions.

    Args:
        verification: What was found.
        blocks: The manifest's blocks, which know the convolutions by the author's names.
    """
    modules = {
        convolution["name"]: convolution["module"].removeprefix(f"{block['name']}.")
        for block in blocks
        for convolution in block["convolutions"]
    }
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    table.add_column("block", overflow="fold")
    table.add_column("error", justify="right", no_wrap=True)
    table.add_column("convolutions", overflow="fold")
    for block in verification["blocks"]:
        style = None if block["fallback"] is None else "yellow"
        convolutions = _by_algorithm(block["algorithms"], modules)
        table.add_row(block["name"], show_error(block["error"]), convolutions, style=style)
    return table


def fallback_lines(verification: Verification) -> list[str]:
    """One line for each reason why blocks are computed directly."""
    by_reason: dict[str, list[str]] = {}
    for block in verification["blocks"]:
        if block["fallback"] is not None:
            by_reason.setdefault(block["fallback"], []).append(block["name"])
    return [f"{', '.join(names)}: computed directly, since {reason}" for reason, names in by_reason.items()]


def network_line(verification: Verification) -> str:
    """How far the network is from onnxruntime, and whether something fell back for that."""
    fallen = sum(block["fallback"] is not None for block in verification["blocks"])
    parts = [
        f"{verification['cases']} cases agree with onnxruntime",
        f"largest error {show_error(verification['error'])} of the output's range "
        f"(allowed: {verification['tolerance']:.0e})",
    ]
    if fallen:
        parts.append(f"{fallen} of {len(verification['blocks'])} parts fell back to direct")
    return "; ".join(parts)


def show_error(error: float | None) -> str:
    """Two digits; a dash where there is no number."""
    return "-" if error is None else f"{error:.1e}"


def _by_algorithm(algorithms: Mapping[str, str], modules: Mapping[str, str]) -> str:
    """`bf16x3: conv1, conv2; direct: conv3`."""
    nodes: dict[str, list[str]] = {}
    for node, algorithm in algorithms.items():
        nodes.setdefault(algorithm, []).append(modules.get(node, node))
    return "; ".join(f"{algorithm}: {', '.join(names)}" for algorithm, names in nodes.items())
