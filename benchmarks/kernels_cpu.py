"""Convolution kernels of a LASNet-ResNet's stages against the peaks of this CPU, one kernel at a time.

    python benchmarks/kernels_cpu.py                                  all kernels, some minutes on two cores
    python benchmarks/kernels_cpu.py --stages 3 4 --convs conv2 --rates 0.5 --threads 2
    chrt -r 1 python benchmarks/kernels_cpu.py                        as root: other programs wait meanwhile

For each stage (S = 4-4-2-1), convolution of a block, activation rate and number of threads, every algorithm that can
compute it runs with the schedule that `build` takes by default. conv1 runs on the mask dilated by a pixel, conv2 on
packed rows, conv3 adds into the residual in place. Weights are *warm*, the same in every call, or *cold*: each call
takes the next ones of a block of memory that is larger than the last-level cache, as an inference at batch 1 does.
Rows of input and output are warm in both cases, as they are behind the kernel that wrote them. No kernel asks for the
next one's weights here: each waits for the first of its own.

FLOP/s count the convolution's own products, two operations each, whatever an algorithm makes of them. The share of a
peak counts what is really multiplied: three bfloat16 products for one, or the fewer ones of Winograd. It is taken
against what is measured beside the kernel, in turns: a large float32 matrix product, or the tile unit's products of
operands from the first-level cache. Blocks of calls in which a thread had to wait for a CPU are run again, so the
machine need not be idle, but it had better be.

Writes kernels_cpu.json, kernels_cpu.md and kernels_cpu.png into benchmarks/results (--output).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lascompile.bench.linked import load_linked
from lascompile.bench.machine import describe_machine
from lascompile.bench.peaks import GEMM, MEMORY, SECOND_LEVEL, TILES, Peak, peaks
from lascompile.bench.result_files import write_results
from lascompile.bench.stage_kernels import CONVOLUTIONS, STAGES, Form, Stage, StageCall, algorithms, call_of, forms_of
from lascompile.bench.undisturbed import CalmRounds, Result, take_turns
from lascompile.cpu import TILE_FEATURES, physical_cores
from lascompile.errors import LascompileError
from lascompile.runtime.memory import aligned, allocate_block, as_tensor
from lascompile.schedules.algorithm import Algorithm
from lascompile.target import CpuTarget, Target, parse_target
from lascompile.workload import ConvWorkload

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATES = (0.3, 0.5, 0.7, 1.0)
WARM, COLD = "warm", "cold"
SCHEMA = 1

_PAGE = 4096
_QUARTILES = (25, 50, 75)
_TILE_PRODUCTS = 3
"""bfloat16 products of the tile unit for one of float32 (`schedules/cpu/bf16x3_loops.py`)."""


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        plan: Rounds and blocks.
        memory_bytes: What cold weights are taken from, and memory is read of; more than the last-level cache.
    """

    plan: CalmRounds
    memory_bytes: int


@dataclass(frozen=True)
class Row:
    """One kernel at one rate.

    Attributes:
        stage: 1 to 4.
        conv: Which convolution of a block.
        rate: Share of the patches that are on.
        algorithm: Its name.
        threads: How many.
        weights: WARM or COLD.
        rows: Pixels that are computed.
        time_s: Median of the rounds, and their quartiles.
        empty_s: What the kernel takes without any row: the call, the threads, the loops around nothing.
        flops: Of the convolution.
        nbytes: Of weights, rows, lists and tables, each once.
        share: Of the peak of the unit that multiplies, what its products reach, round by round: quartile, median,
            quartile.
        done: Floating-point operations of the products that the algorithm really computes.
        disturbed: Blocks that never ran without waiting for a CPU.
    """

    stage: int
    conv: str
    rate: float
    algorithm: str
    threads: int
    weights: str
    rows: int
    time_s: tuple[float, float, float]
    empty_s: float
    flops: int
    nbytes: int
    share: tuple[float, float, float]
    done: int
    disturbed: int

    @property
    def flops_per_s(self) -> float:
        """Of the median."""
        return self.flops / self.time_s[1]

    @property
    def bytes_per_s(self) -> float:
        """Of the median."""
        return self.nbytes / self.time_s[1]


class Weights:
    """Weights of any kernel, one after the other from a block of memory that is longer than the cache."""

    def __init__(self, nbytes: int) -> None:
        self._block = allocate_block(nbytes)
        # Pairs of bfloat16, which are float32 numbers of the same size as well.
        values = np.random.default_rng(0).standard_normal(1 << 20, np.float32).view(np.uint32)
        halves = self._block[: nbytes // 4 * 4].view(np.uint32)
        for begin in range(0, halves.size, values.size):
            part = halves[begin : begin + values.size]
            part[...] = values[: part.size] & 0xFFFF0000 | np.roll(values, 1)[: part.size] >> 16
        self._next = 0

    def take(self, like: np.ndarray) -> np.ndarray:
        """The next array of this shape and type."""
        size = -(-like.nbytes // _PAGE) * _PAGE
        if self._next + size > self._block.size:
            self._next = 0
        begin, self._next = self._next, self._next + size
        return self._block[begin : begin + like.nbytes].view(like.dtype).reshape(like.shape)


class Kernel:
    """A compiled convolution, and its weights."""

    def __init__(self, form: Form, algorithm: Algorithm, target: Target, threads: int) -> None:
        self.form, self.algorithm = form, algorithm
        decisions = algorithm.decide(form, target, threads)
        self._main = load_linked(algorithm.schedule(form, decisions), target, threads)["main"]
        side = round(form.taps**0.5) if isinstance(form, ConvWorkload) else 3
        shape = (form.out_channels, form.in_channels, side, side)
        weight = np.random.default_rng(0).standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))
        self.weight = algorithm.pack(weight, form, decisions)

    def on(self, call: StageCall, cold: Weights | None) -> Callable[[int], list[Callable[[], object]]]:
        """Calls with the rows of `call`, each with other weights if they are `cold`."""
        names = self.form.arguments()
        arrays = {**{name: array.copy() for name, array in call.arrays.items()}, "weight": self.weight}
        tensors = {name: as_tensor(aligned(arrays[name])) for name in names}

        def bind(weight: Any) -> Callable[[], object]:  # noqa: ANN401 - tvm_ffi.Tensor
            given = [(tensors | {"weight": weight})[name] for name in names]
            return lambda: self._main(*given)

        warm = bind(tensors["weight"])
        if cold is None:
            return lambda calls: [warm] * calls
        return lambda calls: [bind(as_tensor(cold.take(self.weight))) for _ in range(calls)]


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, and writes the results."""
    args = _parser().parse_args(argv)
    settings = Settings(CalmRounds(args.rounds, args.block), args.memory << 20)
    stages = [stage for stage in STAGES if stage.number in args.stages]
    threads = args.threads or sorted({1, physical_cores()})
    try:
        results = measure(list(product(stages, args.convs)), args.rates, threads, settings)
    except LascompileError as error:
        print(f"{Path(__file__).name}: error: {error}", file=sys.stderr)
        return error.exit_code
    args.output.mkdir(parents=True, exist_ok=True)
    write(results, args.output)
    print((args.output / "kernels_cpu.md").read_text())
    return 0


def measure(
    convolutions: Sequence[tuple[Stage, str]], rates: Sequence[float], threads: Sequence[int], settings: Settings
) -> dict[str, Any]:
    """Peaks and rows, as JSON types."""
    target, cold = parse_target("llvm"), Weights(settings.memory_bytes)
    assert isinstance(target, CpuTarget)
    machine = describe_machine(max(threads))
    results: dict[str, Any] = {"schema": SCHEMA, "machine": machine, "memory_bytes": settings.memory_bytes}
    results |= {"peaks": {}, "rows": []}
    for count in threads:
        found = list(peaks(target, count, settings.memory_bytes))
        times = take_turns([_again(peak.run) for peak in found], settings.plan)
        best = {peak.name: _quartiles(peak.work / result.medians_s) for peak, result in zip(found, times, strict=True)}
        results["peaks"][str(count)] = best
        print(f"{_threads(str(count))}: " + ", ".join(f"{name} {rate[1] / 1e9:.0f}e9/s" for name, rate in best.items()))
        beside = [peak for peak in found if peak.name in (GEMM, TILES)]
        for stage, conv in convolutions:
            rows = list(_measure_kernels(stage, conv, rates, target, count, beside, cold, settings.plan))
            results["rows"] += [asdict(row) | _rates_of(row) for row in rows]
            print(f"{_threads(str(count))}, stage {stage.number} {conv}: {_summary(rows)}", flush=True)
    return results


def _again(call: Callable[[], object]) -> Callable[[int], list[Callable[[], object]]]:
    return lambda calls: [call] * calls


def _quartiles(values: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in np.percentile(values, _QUARTILES))
    return low, middle, high


def _measure_kernels(
    stage: Stage,
    conv: str,
    rates: Sequence[float],
    target: Target,
    threads: int,
    beside: Sequence[Peak],
    cold: Weights,
    plan: CalmRounds,
) -> Iterator[Row]:
    """All algorithms at all rates, and the peaks `beside` them, in turns."""
    kernels = [
        Kernel(form, algorithm, target, threads)
        for form in forms_of(stage, conv)
        for algorithm in algorithms(form, target)
    ]
    calls = {
        (kernel.form, rate): call_of(stage, conv, kernel.form, rate) for kernel in kernels for rate in (0.0, *rates)
    }
    cases = [
        *((kernel, 0.0, WARM) for kernel in kernels),
        *product(kernels, rates, (WARM, COLD)),
    ]
    contestants = [
        kernel.on(calls[kernel.form, rate], cold if weights == COLD else None) for kernel, rate, weights in cases
    ]
    results = take_turns([*(_again(peak.run) for peak in beside), *contestants], plan)
    reached = {peak.name: peak.work / result.medians_s for peak, result in zip(beside, results, strict=False)}
    by_case: dict[tuple[str, float, str], Result] = {
        (kernel.algorithm.name, rate, weights): result
        for (kernel, rate, weights), result in zip(cases, results[len(beside) :], strict=True)
    }
    for kernel, rate, weights in product(kernels, rates, (WARM, COLD)):
        name, call = kernel.algorithm.name, calls[kernel.form, rate]
        result = by_case[name, rate, weights]
        on_tiles = bool(kernel.algorithm.features & TILE_FEATURES)
        done = call.flops_of_form * (_TILE_PRODUCTS if on_tiles else 1)
        yield Row(
            stage=stage.number,
            conv=conv,
            rate=rate,
            algorithm=name,
            threads=threads,
            weights=weights,
            rows=call.rows,
            time_s=_quartiles(result.medians_s),
            empty_s=float(np.median(by_case[name, 0.0, WARM].medians_s)),
            flops=call.flops,
            nbytes=kernel.weight.nbytes + call.row_bytes,
            share=_quartiles(done / result.medians_s / reached[TILES if on_tiles else GEMM]),
            done=done,
            disturbed=result.disturbed,
        )


def _rates_of(row: Row) -> dict[str, float]:
    return {"flops_per_s": row.flops_per_s, "bytes_per_s": row.bytes_per_s}


def _summary(rows: Sequence[Row]) -> str:
    names = dict.fromkeys(row.algorithm for row in rows)
    shares = {
        (name, weights): [row.share[1] for row in rows if (row.algorithm, row.weights) == (name, weights)]
        for name in names
        for weights in (WARM, COLD)
    }
    return ", ".join(f"{name} {weights} {min(all_):.2f}-{max(all_):.2f}" for (name, weights), all_ in shares.items())


def write(results: dict[str, Any], output: Path) -> None:
    """Write the results as JSON, as tables and as a plot; each file appears under its name when it is whole."""
    write_results(output, "kernels_cpu", results, markdown(results), lambda path: plot(results, path))


def markdown(results: dict[str, Any]) -> str:
    """The peaks, and a table for each number of threads."""
    machine = results["machine"]
    lines = [
        f"Kernels by themselves on {machine['cpu']} ({machine['cores']} cores), float32. GFLOP/s of the convolution, "
        "and in brackets how far the products that are really computed use the unit: their rate over that of a matrix "
        "product (direct, winograd: its own, fewer products), or over the tile unit's peak (bf16x3: three products for "
        "one), measured in turns. GB/s are of weights, rows and lists, each once. Weights are warm (the same in "
        f"every call) or cold (the next ones of {results['memory_bytes'] >> 20} MB). A call without any active row "
        f"takes {max(row['empty_s'] for row in results['rows']) * 1e6:.1f} us at most.",
    ]
    for threads, peak in results["peaks"].items():
        rows = [row for row in results["rows"] if row["threads"] == int(threads)]
        lines += ["", f"## {_threads(threads)}", "", *_peak_lines(peak), ""]
        lines += _table(rows)
    disturbed = sum(row["disturbed"] > 0 for row in results["rows"])
    if disturbed:
        lines += ["", f"Of {len(results['rows'])} rows {disturbed} hold blocks that other programs disturbed."]
    return "\n".join(lines) + "\n"


def _threads(count: str) -> str:
    return "1 thread" if count == "1" else f"{count} threads"


def _peak_lines(peak: dict[str, Sequence[float]]) -> Iterator[str]:
    units = {
        GEMM: ("Matrix product, float32", "GFLOP/s"),
        TILES: ("Tile unit, bfloat16", "GFLOP/s"),
        SECOND_LEVEL: ("Second-level cache", "GB/s"),
        MEMORY: ("Memory", "GB/s"),
    }
    for name, (low, middle, high) in peak.items():
        what, unit = units[name]
        yield f"- {what}: **{middle / 1e9:.0f}** {unit} ({low / 1e9:.0f} to {high / 1e9:.0f})"


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    algorithms_of = list(dict.fromkeys(row["algorithm"] for row in rows))
    headings = ["stage", "convolution", "r", "rows"]
    for name in algorithms_of:
        headings += [f"{name}, warm", f"{name}, cold", "GB/s, cold"]
    yield "| " + " | ".join(headings) + " |"
    yield "|---:|---" + "|---:" * (len(headings) - 2) + "|"
    found = {(row["stage"], row["conv"], row["rate"], row["algorithm"], row["weights"]): row for row in rows}
    for stage, conv, rate in dict.fromkeys((row["stage"], row["conv"], row["rate"]) for row in rows):
        mine = [found.get((stage, conv, rate, name, weights)) for name in algorithms_of for weights in (WARM, COLD)]
        computed = next(row["rows"] for row in mine if row is not None)
        cells = [str(stage), conv, f"{rate:.1f}", str(computed)]
        for warm, cold in zip(mine[::2], mine[1::2], strict=True):
            cells += ["-"] * 3 if warm is None or cold is None else _cells(warm, cold)
        yield "| " + " | ".join(cells) + " |"


def _cells(warm: dict[str, Any], cold: dict[str, Any]) -> list[str]:
    return [
        *(f"{row['flops_per_s'] / 1e9:.0f} ({row['share'][1]:.2f})" for row in (warm, cold)),
        f"{cold['bytes_per_s'] / 1e9:.1f}",
    ]


def plot(results: dict[str, Any], path: Path) -> None:
    """A roofline for each number of threads: FLOP/s over FLOP per byte."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    count = len(results["peaks"])
    figure, panels = pyplot.subplots(
        1, count, figsize=(6 * count + 2.5, 5.5), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (threads, peak) in zip(panels[0], results["peaks"].items(), strict=True):
        rows = [row for row in results["rows"] if row["threads"] == int(threads)]
        _draw_roofs(axes, peak, [row["flops"] / row["nbytes"] for row in rows])
        _draw_kernels(axes, rows)
        axes.set(xscale="log", yscale="log", xlabel="FLOP per byte of weights and rows", title=_threads(threads))
        axes.grid(alpha=0.3, which="both")
    panels[0][0].set_ylabel("GFLOP/s of the convolution")
    figure.legend(*panels[0][-1].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside right center")
    figure.savefig(path, dpi=150, format="png")
    pyplot.close(figure)


def _draw_roofs(axes: Axes, peak: dict[str, Sequence[float]], intensities: Sequence[float]) -> None:
    """Horizontal lines of arithmetic, and lines of memory and cache that rise up to them."""
    x = np.geomspace(min(intensities) / 2, max(intensities) * 2, 100)
    roofs = {"float32 matrix product": peak[GEMM][1]}
    if TILES in peak:
        roofs["tile unit, bf16x3"] = peak[TILES][1] / _TILE_PRODUCTS
    for (label, flops), style in zip(roofs.items(), ("-", "--"), strict=False):
        axes.axhline(flops / 1e9, color="black", linestyle=style, linewidth=1, label=label)
    for name, label, color in ((MEMORY, "memory", "tab:red"), (SECOND_LEVEL, "second-level cache", "tab:green")):
        reached = np.minimum(x * peak[name][1], max(roofs.values()))
        axes.plot(x, reached / 1e9, color=color, linewidth=1, label=label)


def _draw_kernels(axes: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Colours are algorithms, shapes convolutions, hollow ones have cold weights, and later stages are larger."""
    names = dict.fromkeys(row["algorithm"] for row in rows)
    colors = dict(zip(names, ("tab:blue", "tab:orange", "tab:purple", "tab:olive"), strict=False))
    markers = dict(zip(CONVOLUTIONS, "osD", strict=True))
    for (name, color), (conv, marker), weights in product(colors.items(), markers.items(), (WARM, COLD)):
        mine = [row for row in rows if (row["algorithm"], row["conv"], row["weights"]) == (name, conv, weights)]
        if mine:
            axes.scatter(
                [row["flops"] / row["nbytes"] for row in mine], [row["flops_per_s"] / 1e9 for row in mine],
                s=[10 + 8 * row["stage"] for row in mine], marker=marker, edgecolors=color,
                facecolors=color if weights == WARM else "none", linewidths=1, alpha=0.8,
                label=f"{name}, {conv}, {weights} weights",
            )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = [stage.number for stage in STAGES]
    parser.add_argument("--stages", nargs="+", type=int, default=numbers, choices=numbers)
    parser.add_argument("--convs", nargs="+", default=CONVOLUTIONS, choices=CONVOLUTIONS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, metavar="R")
    parser.add_argument("--threads", nargs="+", type=int, metavar="N", help="default: 1, and the physical cores")
    parser.add_argument("--rounds", type=int, default=11, metavar="N", help="blocks of each kernel (default: 11)")
    parser.add_argument("--block", type=int, default=4, metavar="N", help="timed calls of a block (default: 4)")
    parser.add_argument("--memory", type=int, default=512, metavar="MB", help="of cold weights (default: 512)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
