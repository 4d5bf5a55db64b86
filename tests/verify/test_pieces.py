"""The pieces that errors are told by."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from lascompile.analysis.blocks import find_blocks
from lascompile.frontend.simplify import simplify
from lascompile.lower.lower import analyse
from lascompile.verify.pieces import OUTSIDE, Pieces, find_pieces
from tests.analysis.unusual import NETWORKS
from tests.masked_nets import Network, masked_network


def pieces_of(model: ir.Model) -> Pieces:
    graph = simplify(model).graph
    found = analyse(graph)
    return find_pieces(graph, found.gates, find_blocks(graph, found.gates, found.demands, found.fills))


def test_blocks_end_behind_their_activation() -> None:
    found = pieces_of(ir.from_proto(masked_network(head=True)))
    assert found.cuts == ("stem.relu", "b0.out", "b1.out")
    first, second, outside = found.pieces
    assert (first.name, first.outputs) == ("block1", ("b0.out",))
    assert {"b0.conv1", "b0.conv2", "b0.logits"} <= first.nodes
    assert second.outputs == ("b1.out",)
    assert (outside.name, outside.outputs) == (OUTSIDE, ("stem.relu", "logits"))
    assert {"stem", "logits"} <= outside.nodes


def test_a_network_without_blocks_is_one_piece() -> None:
    net = Network(size=8)
    found = pieces_of(ir.from_proto(net.model(net.conv("x", "stem", (3, 8), 3), [1, 8, 8, 8])))
    assert found.cuts == ()
    assert [(piece.name, piece.nodes, piece.outputs) for piece in found.pieces] == [
        (OUTSIDE, frozenset({"stem"}), ("stem",))
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_convolution_belongs_to_one_piece(name: str) -> None:
    model = simplify(ir.from_proto(NETWORKS[name]()))
    found = pieces_of(model.clone())
    for node in model.graph:
        assert sum(node.name in piece.nodes for piece in found.pieces) == 1, node.name
    assert len({output for piece in found.pieces for output in piece.outputs}) == sum(
        len(piece.outputs) for piece in found.pieces
    )
