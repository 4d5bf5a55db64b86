"""The kernels of a network with what the latency table tells of their place: the patches of their mask, their stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lascompile.analysis.gates import feature_map_shape, find_gates
from lascompile.frontend.counterpart import static_counterpart
from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.records.matching import is_dynamic
from lascompile.tune.tasks import Setting, TuningTask, tasks_of_graph
from lascompile.workload import Form


@dataclass(frozen=True)
class MeasuredKernel:
    """A kernel, an algorithm, and where a network has it.

    Attributes:
        task: Kernel and algorithm.
        granularity: Height and width of a patch of the mask that rules it; None without a mask.
        stage: C, H, W of what that mask gates. A kernel without a mask has the stage of those that compute the same
            under masks of its network, if that is one stage.
    """

    task: TuningTask
    granularity: tuple[int, int] | None = None
    stage: tuple[int, int, int] | None = None

    @property
    def name(self) -> str:
        """For people, with granularity and activation rate where they matter."""
        parts = [self.task.name]
        if self.granularity is not None:
            parts.append(f"S={'x'.join(map(str, dict.fromkeys(self.granularity)))}")
        if is_dynamic(self.task.workload):
            parts.append(f"r={self.task.rate:g}")
        return " ".join(parts)


def kernels_of_network(
    path: Path, setting: Setting, shapes: Mapping[str, Sequence[int]] | None = None
) -> list[MeasuredKernel]:
    """The kernels of the ONNX file `path`, and, if it has masks, those of the same network without them.

    Raises:
        UsageError, UnsupportedModelError: As for `build`.
    """
    model = simplify(load_model(path, shapes))
    gates = [gate for gate in find_gates(model.graph) if gate.is_spatial]
    # Of several gates of one mask the last one is where the branch ends.
    places = {gate.mask.name: (gate.mask.granularity, feature_map_shape(gate.gated)[1:]) for gate in gates}
    static = static_counterpart(model) if gates else None
    kernels = [_with_place(task, places) for task in tasks_of_graph(model.graph, setting)]
    if static is not None:
        kernels += [MeasuredKernel(task) for task in tasks_of_graph(static.graph, setting)]
    return merge_kernels(_with_stages(kernels))


def merge_kernels(kernels: Iterable[MeasuredKernel]) -> list[MeasuredKernel]:
    """Equal ones once, also those of several networks. No network changes what is known of another's."""
    merged: dict[object, MeasuredKernel] = {}
    for kernel in kernels:
        key = (kernel.task.record_task, kernel.task.algorithm.name, kernel.granularity, kernel.stage)
        merged.setdefault(key, kernel)
    return list(merged.values())


def shape_of(workload: Form) -> tuple[object, ...]:
    """What kernels have in common that compute the same map by other algorithms, or under other masks or none."""
    channels, rows = (workload.in_channels, workload.out_channels), (workload.input_rows, workload.map_rows)
    return workload.taps, workload.groups, channels, rows, workload.epilogue.add


def _with_place(
    task: TuningTask, places: Mapping[str, tuple[tuple[int, int], tuple[int, int, int]]]
) -> MeasuredKernel:
    mask = next(iter(task.activity.masks), None)
    return MeasuredKernel(task) if mask is None else MeasuredKernel(task, *places[mask])


def _with_stages(kernels: Sequence[MeasuredKernel]) -> list[MeasuredKernel]:
    """The kernels of one network; those without a mask learn their stage from those with one, where there is one only.

    What other networks a command measures must not matter: a cell is to be the same the next time.
    """
    stages: dict[object, set[tuple[int, int, int]]] = {}
    for kernel in kernels:
        if kernel.stage is not None:
            stages.setdefault(shape_of(kernel.task.workload), set()).add(kernel.stage)
    only = {shape: next(iter(found)) for shape, found in stages.items() if len(found) == 1}
    return [replace(kernel, stage=kernel.stage or only.get(shape_of(kernel.task.workload))) for kernel in kernels]
