"""A network whose decisions are given, and which says what it would have decided.

Before: x → … → logits → `GreaterOrEqual` → decision → `Resize` → `Mul`(f, ·)
After: the decision is an input; what the graph computes in its place becomes the output
«<decision>.computed», beside «<decision>.margin» and «<decision>.size» (see `margin`).

Two implementations that round differently may take a close decision differently, and from there on compute
different things. Under the same decisions they can be compared number by number, and each decision on its
own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.gates import Mask, find_gates
from lascompile.errors import ArtifactError, UsageError
from lascompile.frontend.margin import add_margin
from lascompile.frontend.rewire import replace_readers


@dataclass(frozen=True)
class ImposedDecision:
    """One decision that became an input.

    Attributes:
        name: Of the input, which is the decision's in the model.
        masks: The masks that obey it.
        computed: Name of the output that holds what the model would have decided.
        margin: Name of the output that says how far that is from the opposite, above zero where the decision
            is on; None where it cannot be derived.
        size: Name of the output that holds the size of the numbers which `margin` was computed from.
        decides_nan: False if ONNX leaves open how a NaN among the logits is decided (see `margin.Margin`).
    """

    name: str
    masks: tuple[Mask, ...]
    computed: str
    margin: str | None
    size: str | None
    decides_nan: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the decision."""
        shape = self.masks[0].decision.shape
        assert shape is not None
        return tuple(int(dim) for dim in shape)  # type: ignore[arg-type]

    @property
    def dtype(self) -> ir.DataType:
        """Element type of the decision: bool, or that of the zeros and ones it is written in."""
        dtype = self.masks[0].decision.dtype
        assert dtype is not None
        return dtype

    def from_mask(self, mask: np.ndarray) -> np.ndarray:
        """The decision that an artifact writes as `mask`, bool, in the model's shape and element type.

        Raises:
            ArtifactError: They differ in size.
        """
        if mask.size != np.prod(self.shape):
            raise ArtifactError(
                f"mask {self.name!r} has {mask.size} elements in the artifact, but the model takes "
                f"{np.prod(self.shape)} decisions for it; build the artifact again from this model"
            )
        return mask.reshape(self.shape).astype(self.dtype.numpy())

    def activation_rate(self, decision: np.ndarray) -> float:
        """The share of the pixels (and of the channel groups) that `decision` switches on."""
        mask = self.masks[0]
        on = (decision.reshape(-1) != 0) != mask.inverted
        return float(on[mask.index].mean())


@dataclass(frozen=True)
class ImposedModel:
    """A model whose decisions are inputs.

    Attributes:
        model: The graph; its first outputs are those of the model it was made from.
        decisions: By name, in the order in which the model takes them.
    """

    model: ir.Model
    decisions: dict[str, ImposedDecision]


def impose_decisions(model: ir.Model, names: Collection[str] | None = None) -> ImposedModel:
    """Make the decisions of `model` (canonical, see `simplify`) inputs of a new model.

    Args:
        model: Stays as it is; the new model shares its weights.
        names: Decisions to impose; None: all. The others stay computed.

    Raises:
        UsageError: `names` holds a name that is not a decision of the model.
    """
    imposed = model.clone()
    masks: dict[ir.Value, list[Mask]] = {}
    for gate in find_gates(imposed.graph):
        known = masks.setdefault(gate.mask.decision, [])
        if gate.mask not in known:
            known.append(gate.mask)
    _check_known(names, [str(decision.name) for decision in masks])
    wanted = [decision for decision in masks if names is None or decision.name in names]
    inputs = {decision: _make_input(imposed.graph, decision) for decision in wanted}
    decisions = [
        _report(imposed.graph, decision, str(given.name), tuple(masks[decision])) for decision, given in inputs.items()
    ]
    return ImposedModel(imposed, {decision.name: decision for decision in decisions})


def _check_known(names: Collection[str] | None, known: list[str]) -> None:
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is not a decision of the model, which takes {', '.join(known) or 'none'}; "
            "give the ONNX file that the artifact was built from"
        )


def _make_input(graph: ir.Graph, decision: ir.Value) -> ir.Value:
    """Let every reader of `decision` read a new input of its name; the computed one is renamed."""
    given = ir.Value(name=decision.name, shape=decision.shape, type=decision.type)
    decision.name = f"{given.name}.computed"
    graph.inputs.append(given)
    replace_readers(graph, decision, given, output_name=f"{given.name}.given")
    return given


def _report(graph: ir.Graph, decision: ir.Value, name: str, masks: tuple[Mask, ...]) -> ImposedDecision:
    """Add the outputs that say what `decision` would have been, and by how much."""
    graph.outputs.append(decision)
    margin = add_margin(graph, decision)
    if margin is None:
        return ImposedDecision(name, masks, str(decision.name), None, None)
    signed = _add_output(graph, margin.signed, f"{name}.margin")
    size = _add_output(graph, margin.size, f"{name}.size")
    return ImposedDecision(name, masks, str(decision.name), signed, size, margin.decides_nan)


def _add_output(graph: ir.Graph, value: ir.Value, name: str) -> str:
    """Make `value` an output called `name`, whatever it is called in the graph."""
    node = ir.node("Identity", [value], name=name)
    output = node.outputs[0]
    output.name, output.type = name, ir.TensorType(ir.DataType.FLOAT)
    graph.append(node)
    graph.outputs.append(output)
    return name
