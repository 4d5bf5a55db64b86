"""Set up the contestants, check that they compute the same, run the race, and make a report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx_ir as ir

from lascompile import toolchain
from lascompile.bench.baselines import BASELINES, Call
from lascompile.bench.machine import describe_machine, load_average
from lascompile.bench.report import UNSTABLE, BenchReport, Ratio, RuntimeRow
from lascompile.bench.timing import Rounds, RunTimes, Times, race
from lascompile.errors import LascompileError, UsageError
from lascompile.frontend.built_from import load_built_from
from lascompile.frontend.counterpart import static_counterpart
from lascompile.frontend.impose import impose_decisions
from lascompile.frontend.simplify import simplify
from lascompile.manifest import Manifest
from lascompile.sample_inputs import natural_inputs

_BLOCK = 5
_ROUNDS = 10
_MOST_CLIENTS = 1024
_SAME = 1e-3
_SOMETHING_ELSE = "computes something else: outputs differ"
_QUARTILES = (25, 50, 75)

Progress = Callable[[str, float], None]


class TimedArtifact(Protocol):
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
        repeats: Timed runs of each contestant (of each of its clients), rounded up to whole blocks of five.
        seed: Of the images, where no inputs are given.
        duration_s: Seconds for which each contestant is timed instead, about; the untimed runs between come on top.
        warm_up: Untimed runs of each contestant before.
        clients: Threads that call a contestant at the same time.
    """

    baselines: tuple[str, ...] = tuple(BASELINES)
    repeats: int = 50
    seed: int = 0
    duration_s: float | None = None
    warm_up: int = 3
    clients: int = 1

    def __post_init__(self) -> None:
        unknown = [name for name in self.baselines if name not in BASELINES]
        if unknown:
            raise UsageError(f"unknown baseline {unknown[0]!r}: there are {', '.join(BASELINES)}")
        if self.repeats < 1:
            raise UsageError(f"repeats {self.repeats}: must be at least 1")
        if self.duration_s is not None and not 0 < self.duration_s < inf:
            raise UsageError(f"duration {self.duration_s:g}: must be a positive number of seconds")
        if self.warm_up < 0:
            raise UsageError(f"warmup {self.warm_up}: must not be negative")
        if not 1 <= self.clients <= _MOST_CLIENTS:
            raise UsageError(f"clients {self.clients}: must be from 1 to {_MOST_CLIENTS}")

    @property
    def plan(self) -> Rounds:
        """The rounds of the race."""
        if self.duration_s is None:
            return Rounds(-(-self.repeats // _BLOCK), _BLOCK, self.warm_up)
        return Rounds(_ROUNDS, 1, self.warm_up, self.duration_s / _ROUNDS)


@dataclass(frozen=True)
class _Contestant:
    """A row to be, and what each of its clients calls; None where it cannot run."""

    row: RuntimeRow
    calls: Sequence[Call] | None = None


def bench(
    artifact: TimedArtifact,
    onnx_path: str | Path | None = None,
    config: BenchConfig | None = None,
    *,
    against: Mapping[str, TimedArtifact] | None = None,
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
        onnx_path: The ONNX file that it was built from; without it there are no baselines.
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
    model = None if onnx_path is None else simplify(load_built_from(manifest, onnx_path))
    contestants = [_contestant(RuntimeRow("lascompile", "artifact"), artifact, arrays, config.clients)]
    for name, other in (against or {}).items():
        try:
            _check_same_file(manifest, other.manifest)
            contestants.append(_open_artifact(name, other, arrays, outputs, masks, config.clients))
        except LascompileError as error:
            raise type(error)(f"{name}: {error}") from None
    if model is not None:
        contestants += _open_all(config, model, arrays, artifact.threads, tell)
    contestants = _mark_disagreeing(contestants)
    tell("measuring", 0.0)
    rows = _measure(contestants, config.plan, lambda done, total: tell("measuring", done / total))
    return BenchReport(
        onnx=manifest.onnx["name"],
        inputs={spec.name: list(spec.shape) for spec in manifest.inputs},
        source=source,
        machine=describe_machine(artifact.threads),
        rows=rows,
        activation_rates=_plain_rates(manifest, masks) if model is None else _activation_rates(model, masks),
        fastest_static=_fastest_static(rows),
        warnings=list(_warnings(rows, busy, config.clients)),
        clients=config.clients,
    )


def _contestant(row: RuntimeRow, artifact: TimedArtifact, inputs: Sequence[np.ndarray], clients: int) -> _Contestant:
    return _Contestant(row, [partial(artifact.run, *inputs)] * clients)


def _check_same_file(manifest: Manifest, other: Manifest) -> None:
    if manifest.onnx["sha256"] != other.onnx["sha256"]:
        raise UsageError(f"{manifest.onnx['name']} is not the file that it was built from ({other.onnx['name']})")


def _open_artifact(
    name: str,
    artifact: TimedArtifact,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    masks: Mapping[str, np.ndarray],
    clients: int,
) -> _Contestant:
    """Another artifact; not in the race if under the decisions `masks` its outputs are not `outputs`.

    A decision of its own that is close may fall the other way: then it may have more or less to compute, which is no
    fault, but has to be known.
    """
    row = RuntimeRow(name, "artifact")
    error = max(map(_difference, artifact.run_forced(*inputs, masks=masks), outputs))
    if not error <= _SAME:
        return _Contestant(replace(row, note=f"{_SOMETHING_ELSE} by {error:.1e} of their range"))
    _, own = artifact.run_with_masks(*inputs)
    flipped = sum(int((own[mask] != decisions).sum()) for mask, decisions in masks.items())
    if flipped:
        total = sum(decisions.size for decisions in masks.values())
        row = replace(row, note=f"{flipped} of {total} mask decisions are not those of the artifact")
    return _contestant(row, artifact, inputs, clients)


def _open_all(
    config: BenchConfig, model: ir.Model, inputs: Sequence[np.ndarray], threads: int, tell: Progress
) -> Iterator[_Contestant]:
    static = static_counterpart(model)
    for network, graph in (("static", static), ("dynamic", model)):
        for name in config.baselines:
            tell(f"loading {name}, {network}", 0.0)
            yield _open(RuntimeRow(name, network), graph, inputs, threads, config.clients)


def _open(row: RuntimeRow, model: ir.Model, inputs: Sequence[np.ndarray], threads: int, clients: int) -> _Contestant:
    try:
        return _Contestant(row, BASELINES[row.runtime].open_clients(model, inputs, threads, clients))
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
        if contestant.row.network == "static" and contestant.calls is not None:
            outputs = [np.array(output) for output in contestant.calls[0]()]
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


def _plain_rates(manifest: Manifest, masks: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Of decisions, without the model that would say how many pixels each of them stands for."""
    return {spec.name: float((masks[spec.name] != spec.inverted).mean()) for spec in manifest.masks}


def _measure(
    contestants: Sequence[_Contestant], plan: Rounds, progress: Callable[[int, int], None]
) -> list[RuntimeRow]:
    times = iter(race([found.calls for found in contestants if found.calls is not None], plan, progress))
    own: Times | None = None
    rows = []
    for contestant in contestants:
        row = contestant.row
        if contestant.calls is not None:
            mine = next(times)
            row = replace(
                row,
                latency=RunTimes.of(mine.calls_s.reshape(-1)),
                throughput_per_s=float(np.median(mine.rates_per_s)),
                ratio=None if own is None else _ratio(own.calls_s, mine.calls_s),
            )
            own = own or mine
        rows.append(row)
    return rows


def _ratio(own: np.ndarray, other: np.ndarray) -> Ratio:
    """Round by round, from times [round, run]."""
    ratios = np.median(own, axis=1) / np.median(other, axis=1)
    q1, median, q3 = (float(value) for value in np.percentile(ratios, _QUARTILES))
    return Ratio(median, q1, q3)


def _fastest_static(rows: Sequence[RuntimeRow]) -> str | None:
    medians = {row.runtime: row.latency.median_s for row in rows if row.network == "static" and row.latency}
    return min(medians, key=medians.__getitem__, default=None)


def _warnings(rows: Sequence[RuntimeRow], busy: float | None, clients: int) -> Iterator[str]:
    # Clients wait for each other, some longer than others.
    unstable = [row for row in rows if row.latency is not None and row.latency.variation > UNSTABLE and clients == 1]
    if unstable:
        shown = ", ".join(f"{row.name} {row.latency.variation:.1%}" for row in unstable if row.latency)
        yield (
            f"run times vary by more than {UNSTABLE:.1%} ({shown}): close other programs, fix the CPU's clock, or "
            "take more --repeats; the ratios, which are measured side by side, suffer less than the times"
        )
    if busy is not None and busy > 1:
        yield f"the machine was busy before: load average {busy:.1f} over the last minute"
