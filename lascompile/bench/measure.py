"""Set up the contestants, check that they compute the same, run the race, and make a report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx_ir as ir

from lascompile import toolchain
from lascompile.bench.baselines import BASELINES, Call
from lascompile.bench.machine import describe_machine, load_average
from lascompile.bench.report import UNSTABLE, BenchReport, Ratio, Row
from lascompile.bench.timing import Latency, Plan, race
from lascompile.errors import LascompileError, UsageError
from lascompile.frontend.built_from import load_built_from
from lascompile.frontend.counterpart import static_counterpart
from lascompile.frontend.impose import impose_decisions
from lascompile.frontend.simplify import simplify
from lascompile.manifest import Manifest
from lascompile.sample_inputs import natural_inputs

_BLOCK = 5
_WARM_UP = 3
_SAME = 1e-3
_SOMETHING_ELSE = "computes something else: outputs differ"
_QUARTILES = (25, 50, 75)

Progress = Callable[[str, float], None]


class Artifact(Protocol):
    """What is asked of an artifact (`lascompile.runtime.artifact.Artifact`)."""

    threads: int

    @property
    def manifest(self) -> Manifest:
        """What it is."""

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs."""

    def run_with_masks(self, *inputs: np.ndarray) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
        """The outputs, and the mask decisions by name, bool."""

    def run_forced(self, *inputs: np.ndarray, masks: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs under these decisions."""


@dataclass(frozen=True)
class BenchConfig:
    """What to measure.

    Attributes:
        baselines: Keys of `BASELINES`.
        repeats: Timed runs of each contestant, rounded up to whole blocks of five.
        seed: Of the images, where no inputs are given.
    """

    baselines: tuple[str, ...] = tuple(BASELINES)
    repeats: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.baselines if name not in BASELINES]
        if unknown:
            raise UsageError(f"unknown baseline {unknown[0]!r}: there are {', '.join(BASELINES)}")
        if self.repeats < 1:
            raise UsageError(f"repeats {self.repeats}: must be at least 1")


@dataclass(frozen=True)
class _Contestant:
    """A row to be, and how to run it; None where it cannot."""

    row: Row
    call: Call | None = None


def bench(
    artifact: Artifact,
    onnx_path: str | Path,
    config: BenchConfig | None = None,
    *,
    against: Mapping[str, Artifact] | None = None,
    inputs: Sequence[np.ndarray] | None = None,
    source: str = "natural-like images",
    progress: Progress | None = None,
) -> BenchReport:
    """Time `artifact` against other runtimes on the same number of threads.

    Each baseline runs twice: on the static counterpart, the same network without its masks, and on the
    masked network as the file has it. A baseline that is not installed, or cannot run the model, gets a row
    that says so.

    Args:
        artifact: What `lascompile.load` returns; its threads are everybody's.
        onnx_path: The ONNX file that it was built from.
        config: None: the defaults.
        against: Other artifacts of the same file by name, as one that was built before tuning.
        inputs: In the order of the model's inputs; None: natural-like images where the shape allows, else
            noise.
        source: What the report says of the inputs.
        progress: Is told what is being done, and the share of the race that is over.

    Raises:
        UsageError: The file is missing, or not the one that the artifacts were built from; or wrong inputs. Errors of
            another artifact begin with its name.
    """
    config, tell = config or BenchConfig(), progress or (lambda _message, _share: None)
    manifest = artifact.manifest
    busy = load_average()
    arrays = list(inputs) if inputs is not None else natural_inputs(manifest.inputs, config.seed)
    # The artifact says in plain words what is wrong with an input; other runtimes would say it in theirs.
    outputs, masks = artifact.run_with_masks(*arrays)
    tell("reading the model", 0.0)
    model = simplify(load_built_from(manifest, onnx_path))
    others = []
    for name, other in (against or {}).items():
        try:
            load_built_from(other.manifest, onnx_path)  # or else it says so
            others.append(_open_artifact(name, other, arrays, outputs, masks))
        except LascompileError as error:
            raise type(error)(f"{name}: {error}") from None
    contestants = [
        _Contestant(Row("lascompile", "artifact"), partial(artifact.run, *arrays)),
        *others,
        *_open_all(config.baselines, model, arrays, artifact.threads, tell),
    ]
    contestants = _mark_disagreeing(contestants)
    tell("measuring", 0.0)
    rows = _measure(contestants, config.repeats, lambda done, total: tell("measuring", done / total))
    return BenchReport(
        onnx=manifest.onnx["name"],
        inputs={spec.name: list(spec.shape) for spec in manifest.inputs},
        source=source,
        machine=describe_machine(artifact.threads),
        rows=rows,
        activation_rates=_activation_rates(model, masks),
        fastest_static=_fastest_static(rows),
        warnings=list(_warnings(rows, busy)),
    )


def _open_artifact(
    name: str,
    artifact: Artifact,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    masks: Mapping[str, np.ndarray],
) -> _Contestant:
    """Another artifact; not in the race if under the decisions `masks` its outputs are not `outputs`.

    A decision of its own that is close may fall the other way: then it may have more or less to compute, which is no
    fault, but has to be known.
    """
    row = Row(name, "artifact")
    error = max(map(_difference, artifact.run_forced(*inputs, masks=masks), outputs))
    if not error <= _SAME:
        return _Contestant(replace(row, note=f"{_SOMETHING_ELSE} by {error:.1e} of their range"))
    _, own = artifact.run_with_masks(*inputs)
    flipped = sum(int((own[mask] != decisions).sum()) for mask, decisions in masks.items())
    if flipped:
        total = sum(decisions.size for decisions in masks.values())
        row = replace(row, note=f"{flipped} of {total} mask decisions are not those of the artifact")
    return _Contestant(row, partial(artifact.run, *inputs))


def _open_all(
    names: Sequence[str], model: ir.Model, inputs: Sequence[np.ndarray], threads: int, tell: Progress
) -> Iterator[_Contestant]:
    static = static_counterpart(model)
    for network, graph in (("static", static), ("dynamic", model)):
        for name in names:
            tell(f"loading {name}, {network}", 0.0)
            yield _open(Row(name, network), graph, inputs, threads)


def _open(row: Row, model: ir.Model, inputs: Sequence[np.ndarray], threads: int) -> _Contestant:
    try:
        return _Contestant(row, BASELINES[row.runtime].open(model, inputs, threads))
    except ModuleNotFoundError as error:
        missing = toolchain.missing_package(error.name)
        return _Contestant(replace(row, note=str(missing or error)))
    except (LascompileError, RuntimeError) as error:  # the latter is how OpenVINO refuses a model
        return _Contestant(replace(row, note=str(error)))


def _mark_disagreeing(contestants: list[_Contestant]) -> list[_Contestant]:
    """Take out of the race what computes something else than the first baseline on the static network.

    On the dynamic one, a decision that is close may fall either way, and `verify` says who is right.
    """
    reference: list[np.ndarray] | None = None
    checked = []
    for contestant in contestants:
        if contestant.row.network == "static" and contestant.call is not None:
            outputs = [np.array(output) for output in contestant.call()]
            reference = reference or outputs
            error = max(map(_difference, outputs, reference))
            if not error <= _SAME:
                note = f"{_SOMETHING_ELSE} by {error:.1e} of their range"
                contestant = _Contestant(replace(contestant.row, note=note))
        checked.append(contestant)
    return checked


def _difference(output: np.ndarray, reference: np.ndarray) -> float:
    if output.shape != reference.shape:
        return np.inf
    return float(np.abs(output - reference).max() / (np.ptp(reference) or 1.0))


def _activation_rates(model: ir.Model, masks: Mapping[str, np.ndarray]) -> dict[str, float]:
    decisions = impose_decisions(model, list(masks)).decisions
    return {name: decisions[name].activation_rate(decisions[name].from_mask(mask)) for name, mask in masks.items()}


def _measure(contestants: Sequence[_Contestant], repeats: int, progress: Callable[[int, int], None]) -> list[Row]:
    calls = [contestant.call for contestant in contestants if contestant.call is not None]
    plan = Plan(rounds=-(-repeats // _BLOCK), block=_BLOCK, warm_up=_WARM_UP)
    times = iter(race(calls, plan, progress))
    own: np.ndarray | None = None
    rows = []
    for contestant in contestants:
        row = contestant.row
        if contestant.call is not None:
            mine = next(times)
            ratio = None if own is None else _ratio(own, mine)
            own = mine if own is None else own
            row = replace(row, latency=Latency.of(mine.reshape(-1)), ratio=ratio)
        rows.append(row)
    return rows


def _ratio(own: np.ndarray, other: np.ndarray) -> Ratio:
    """Round by round, from times [round, run]."""
    ratios = np.median(own, axis=1) / np.median(other, axis=1)
    q1, median, q3 = (float(value) for value in np.percentile(ratios, _QUARTILES))
    return Ratio(median, q1, q3)


def _fastest_static(rows: Sequence[Row]) -> str | None:
    medians = {row.runtime: row.latency.median_s for row in rows if row.network == "static" and row.latency}
    return min(medians, key=medians.__getitem__, default=None)


def _warnings(rows: Sequence[Row], busy: float | None) -> Iterator[str]:
    unstable = [row for row in rows if row.latency is not None and row.latency.variation > UNSTABLE]
    if unstable:
        shown = ", ".join(f"{row.name} {row.latency.variation:.1%}" for row in unstable if row.latency)
        yield (
            f"run times vary by more than {UNSTABLE:.1%} ({shown}): close other programs, fix the CPU's clock, or "
            "take more --repeats; the ratios, which are measured side by side, suffer less than the times"
        )
    if busy is not None and busy > 1:
        yield f"the machine was busy before: load average {busy:.1f} over the last minute"
