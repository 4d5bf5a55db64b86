"""The pieces that a network's errors are told by: its blocks, and what is in none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from lascompile.analysis.blocks import Block
from lascompile.analysis.gates import Gate
from lascompile.analysis.regions import Region, find_regions
from lascompile.analysis.rules import elementwise

OUTSIDE = "outside blocks"
"""Name of the piece that holds the stem, the head, and what is between blocks."""


@dataclass(frozen=True)
class Piece:
    """A part of a network that is computed from given values.

    Attributes:
        name: The block's, or `OUTSIDE`.
        nodes: Names of its nodes.
        outputs: Names of the values by which it is judged.
    """

    name: str
    nodes: frozenset[str]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Pieces:
    """All pieces, and the values at which the network is cut so that they become independent."""

    pieces: tuple[Piece, ...]
    cuts: tuple[str, ...]


def find_pieces(graph: ir.Graph, gates: list[Gate], blocks: Sequence[Block]) -> Pieces:
    """The pieces of `graph`, blocks first, in topological order.

    Args:
        graph: Canonical, see `simplify`.
        gates: Its gates.
        blocks: What `find_blocks` says of it.
    """
    regions = find_regions(graph, gates)
    ends = [_end(region) for region in regions]
    forks = [region.fork for region in regions if region.fork.producer() is not None]
    cuts = [value for value in dict.fromkeys([*forks, *ends]) if value.uses()]
    pieces = [
        Piece(block.name, _names((*region.branch, *region.shortcut, *region.side)), (str(end.name),))
        for block, region, end in zip(blocks, regions, ends, strict=True)
    ]
    inside = frozenset[str]().union(*(piece.nodes for piece in pieces))
    others = [value for value in dict.fromkeys([*cuts, *_computed(graph.outputs)]) if value not in ends]
    if others:
        outside = frozenset(str(node.name) for node in graph) - inside
        pieces.append(Piece(OUTSIDE, outside, tuple(str(value.name) for value in others)))
    return Pieces(tuple(pieces), tuple(str(value.name) for value in cuts))


def _end(region: Region) -> ir.Value:
    """What a block passes on: the activation of its sum, which the same kernel computes."""
    value = region.join.outputs[0]
    while len(uses := value.uses()) == 1 and not value.is_graph_output():
        (reader,) = (use.node for use in uses)
        if reader.op_type not in elementwise.UNARY:
            break
        value = reader.outputs[0]
    return value


def _computed(values: Iterable[ir.Value]) -> list[ir.Value]:
    return [value for value in values if value.producer() is not None and value.dtype in (ir.DataType.FLOAT, None)]


def _names(nodes: Iterable[ir.Node]) -> frozenset[str]:
    return frozenset(str(node.name) for node in nodes)
