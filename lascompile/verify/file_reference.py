"""The file itself as the reference, its decisions given: what `simplify` makes of it is not believed.

Before: x → logits → decision → gate, as the file has it
After: the decision is an input; what the file computes in its place is an output, «<decision>.computed»
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from lascompile.frontend.impose import ImposedDecision
from lascompile.frontend.rewire import replace_readers
from lascompile.verify.reference import Computed, Reference
from lascompile.verify.runs import Run


def has_all(original: ir.Model, decisions: Mapping[str, ImposedDecision]) -> bool:
    """True if the file names every decision in its main graph."""
    return decisions.keys() <= _values(original.graph).keys()


def outcomes_of_file(
    original: ir.Model,
    decisions: Mapping[str, ImposedDecision],
    runs: Sequence[Run],
    outcomes: Sequence[Computed],
    threads: int,
) -> list[Computed]:
    """What the file computes where a run took its own decisions: outputs, and what it would have decided.

    Under masks that were given, `outcomes` stay as they are: a file may compute one decision twice, under two names.

    Args:
        original: The file as it was read; changed.
        decisions: By name, as the simplified model has them.
        runs: What is to be compared.
        outcomes: Of the simplified model, which knows margins as well.
        threads: For onnxruntime.
    """
    own = len(original.graph.outputs)
    values = _values(original.graph)
    for name, decision in decisions.items():
        _impose(original.graph, _origin(values[name]), decision)
    reference = Reference(original, own, threads)
    return [
        _of_file(reference, run, outcome) if run.chosen and run.kind != "file" else outcome
        for run, outcome in zip(runs, outcomes, strict=True)
    ]


def _of_file(reference: Reference, run: Run, simplified: Computed) -> Computed:
    outcome = reference.run(run.inputs, run.decisions)
    return Computed(outcome.outputs, {**simplified.values, **outcome.values})


def _values(graph: ir.Graph) -> dict[str, ir.Value]:
    computed = [value for node in graph for value in node.outputs]
    return {str(value.name): value for value in (*graph.inputs, *computed)}


def _origin(value: ir.Value) -> ir.Value:
    """Simplification may call a value as the output that shows it is called."""
    while (node := value.producer()) is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        value = node.inputs[0]
    return value


def _impose(graph: ir.Graph, computed: ir.Value, decision: ImposedDecision) -> None:
    shown = decision.masks[0].decision  # whose shape and type are known
    given = ir.Value(name=decision.name, shape=shown.shape, type=shown.type)
    graph.inputs.append(given)
    for value in _values(graph).values():
        if value is not given and value.name == decision.name:
            value.name = f"{decision.name}.shown"
    computed.name = decision.computed
    replace_readers(graph, computed, given, output_name=f"{decision.name}.given")
    graph.outputs.append(computed)
