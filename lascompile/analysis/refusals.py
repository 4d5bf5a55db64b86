"""Why a node that looks like a gate is none: what stands between an author's mask and work that is skipped."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from lascompile.analysis.elements import shape_of
from lascompile.analysis.facts import constant, copies_elements, is_binary, operator, range_of
from lascompile.analysis.gates import Reading, is_feature_map, readings


@dataclass(frozen=True)
class Refusal:
    """Why something stays dense.

    Attributes:
        reason: What is in the way, in words.
        advice: What to change about the model.
    """

    reason: str
    advice: str


def find_refusal(node: ir.Node) -> Refusal | None:
    """Why `node`, which is no gate, is none; None if it does not look like one either."""
    for reading in sorted(readings(node), key=lambda reading: not is_binary(reading.selector)):
        refusal = _refuse(node, reading) if _looks_like_mask(reading.selector) else None
        if refusal is not None:
            return refusal
    return None


def _looks_like_mask(selector: ir.Value) -> bool:
    """True for 0 and 1, and for what holds one number for all channels of a pixel, or of an image."""
    if selector.shape is None:
        return False
    shape = shape_of(selector)
    is_number = constant(selector) is not None and all(dim == 1 for dim in shape)
    return not is_number and (is_binary(selector) or (len(shape) == 4 and shape[1] == 1))


def _refuse(node: ir.Node, reading: Reading) -> Refusal | None:
    what = f"{operator(node)} {node.name}"
    selector, output = reading.selector, node.outputs[0]
    if constant(selector) is not None:
        return _refuse_constant(what) if is_binary(selector) else None
    if not is_binary(selector):
        return _refuse_soft(what, selector)
    if not is_feature_map(output):
        return Refusal(
            f"{what} masks a value of shape {list(shape_of(output))}, but pixels are skipped in feature maps only",
            "multiply the mask in where the value is a float32 map [N, C, H, W]",
        )
    maps = [value for value in (reading.gated, reading.otherwise) if value is not None]
    wrong = [value for value in maps if value.shape != output.shape]
    if wrong and constant(reading.gated) is None:
        return Refusal(
            f"{what} broadcasts a map of shape {list(shape_of(wrong[0]))} to {list(shape_of(output))}, "
            "so the mask does not select from the map as it is",
            "give the map its full shape before it is masked, and the mask the shape [N, 1, H, W]",
        )
    return None


def _refuse_constant(what: str) -> Refusal:
    return Refusal(
        f"the mask of {what} is a constant in the file: no decision is left in the graph",
        "the masker was traced away; compute it from the input in PyTorch operators, without .item(), NumPy or "
        "Python conditions, and export again",
    )


def _refuse_soft(what: str, selector: ir.Value) -> Refusal | None:
    """A multiplier that is no decision, though it has one number for all channels of a pixel."""
    origin = _origin(selector)
    if origin is None:
        return None
    known = range_of(selector)
    if known.low >= 0 and known.high <= 1:
        return Refusal(
            f"the multiplier of {what} is soft: {operator(origin)} {origin.name} gives numbers between 0 and 1, "
            "not a decision",
            "compare it with a threshold in the forward pass, as in (p > 0.5).to(x.dtype), and export again",
        )
    return Refusal(
        f"the multiplier of {what} is no decision: {operator(origin)} {origin.name} gives other numbers than 0 and 1",
        "multiply by a comparison, as in (logits > 0).to(x.dtype); a straight-through estimator "
        "(hard - soft + soft) is for training only",
    )


def _origin(value: ir.Value) -> ir.Node | None:
    """The node whose elements `value` repeats; None for an input of the model."""
    node = value.producer()
    while node is not None and copies_elements(node) and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node
