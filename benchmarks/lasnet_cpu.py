"""Latency of LASNets on this CPU against the fastest runtime on the same networks without masks.

    python benchmarks/lasnet_cpu.py                                   all rows, about half an hour on two cores
    python benchmarks/lasnet_cpu.py --models lasnet_resnet50 --rates 0.5 --batches 1
    python benchmarks/lasnet_cpu.py --target "llvm -mcpu=native -mattr=-amx-tile,-amx-bf16" --output elsewhere

For LASNet-ResNet-50 and -101 with S = 4-4-2-1, at several activation rates and batch sizes: exports the network with
maskers calibrated to the rate on natural-like images, builds it, and times it against every baseline that is
installed, on other images: those of a few that switch on a share nearest to the rate. Weights are random, which
changes no latency. Each row is stored as soon as it is measured, so a second call goes on where the first one ended;
the table and the plot show all rows that there are. The networks without masks are built and measured as well, where r
is 1.

Writes lasnet_cpu.json, lasnet_cpu.md and lasnet_cpu.png into benchmarks/results (--output).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lascompile.bench import BASELINES, BenchConfig, bench, describe_machine
from lascompile.bench.result_files import write_results
from lascompile.cpu import physical_cores
from lascompile.errors import LascompileError, UsageError
from lascompile.sample_inputs import natural_inputs

if TYPE_CHECKING:
    from lascompile import Artifact

MODELS = ("lasnet_resnet50", "lasnet_resnet101", "resnet50", "resnet101")
GRANULARITY = (4, 4, 2, 1)
RATES = (0.3, 0.5, 0.7, 1.0)
BATCHES = (1, 8)
SCHEMA = 1

_CANDIDATES = 16
"""Inputs of which the one is timed whose activation rate is nearest to the wanted one; single images differ a lot."""


@dataclass(frozen=True)
class Case:
    """One network to measure."""

    model: str
    rate: float
    batch: int
    granularity: tuple[int, ...] = GRANULARITY

    @property
    def name(self) -> str:
        """For progress and file names."""
        return f"{self.model}_r{self.rate:g}_b{self.batch}"


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        baselines: Keys of `BASELINES`.
        repeats: Timed runs at batch 1; larger batches are run as often less, but at least 15 times.
        threads: Of every runtime.
        target: What lascompile builds for, on this machine.
    """

    baselines: tuple[str, ...]
    repeats: int
    threads: int
    target: str = "llvm"


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what is missing, and writes the results."""
    args = _parser().parse_args(argv)
    settings = Settings(args.baselines, args.repeats, args.threads or physical_cores(), args.target)
    cases = [
        Case(model, rate, batch, GRANULARITY if is_masked(model) else ())
        for model in args.models
        for batch in args.batches
        for rate in args.rates
        if is_masked(model) or rate == 1.0
    ]
    try:
        run(cases, settings, args.output, measure_in_processes, again=args.again)
    except LascompileError as error:
        print(f"{Path(__file__).name}: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def is_masked(model: str) -> bool:
    """True for networks with maskers."""
    return model.startswith("lasnet_")


def run(
    cases: Iterable[Case],
    settings: Settings,
    output: Path,
    measure: Callable[[Case, Settings], dict[str, Any]],
    again: bool = False,
) -> None:
    """Measure those of `cases` that `output` does not hold yet, or all of them `again`."""
    output.mkdir(parents=True, exist_ok=True)
    rows = _read_rows(output / "lasnet_cpu.json", settings)
    for case in cases:
        known = next((row for row in rows if _case_of(row) == case), None)
        if known is not None and not again:
            print(f"{case.name}: measured before")
            continue
        start = time.perf_counter()
        row = {**asdict(case), "target": settings.target, "report": measure(case, settings)}
        rows = sorted([row, *(other for other in rows if other is not known)], key=_order)
        write(rows, output)
        print(f"{case.name}: {_summary(row)} ({time.perf_counter() - start:.0f} s)", flush=True)
    if rows:
        write(rows, output)
        print((output / "lasnet_cpu.md").read_text())


def measure_in_processes(case: Case, settings: Settings) -> dict[str, Any]:
    """Build in one process and measure in another, whose memory and threads are its own."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="lasnet_cpu_") as folder, context.Pool(1, maxtasksperchild=1) as pool:
        pool.apply(_build, (case, settings, Path(folder)))
        report: dict[str, Any] = pool.apply(_measure, (case, settings, Path(folder)))
        return report


def _build(case: Case, settings: Settings, folder: Path) -> None:
    import torch

    from lascompile.compile import build_artifact
    from lascompile.models import create_model, export, prepare
    from lascompile.models.preparation import calibration_images

    torch.set_num_threads(settings.threads)
    model = create_model(case.model, granularity=case.granularity or None)
    rate = case.rate if is_masked(case.model) else None
    prepare(model, calibration_images((224, 224), seed=0), activation_rate=rate)
    path = export(model, folder / f"{case.name}.onnx", batch=case.batch)
    build_artifact(path, folder / "artifact.lasc", target=settings.target, threads=settings.threads)


def _measure(case: Case, settings: Settings, folder: Path) -> dict[str, Any]:
    from lascompile import load

    repeats = max(15, settings.repeats // case.batch)
    artifact = load(folder / "artifact.lasc", settings.threads)
    seeds = range(_CANDIDATES if is_masked(case.model) else 1)
    seed = min(seeds, key=lambda seed: abs(_rate(artifact, seed) - case.rate))
    config = BenchConfig(settings.baselines, repeats, seed)
    return bench(artifact, folder / f"{case.name}.onnx", config).to_json()


def _rate(artifact: Artifact, seed: int) -> float:
    """The share that the input of this seed switches on, on average over the masks."""
    if not artifact.manifest.masks:
        return 1.0
    _, masks = artifact.run_with_masks(*natural_inputs(artifact.manifest.inputs, seed))
    return sum(float(mask.mean()) for mask in masks.values()) / len(masks)


def _read_rows(path: Path, settings: Settings) -> list[dict[str, Any]]:
    """The rows of an earlier call.

    Raises:
        UsageError: They were measured on another machine, or with other threads or versions, or are damaged.
    """
    if not path.is_file():
        return []
    try:
        stored = json.loads(path.read_text())
        rows: list[dict[str, Any]] = stored["rows"]
        machines = [row["report"]["machine"] for row in rows]
        targets = {row["target"] for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}): delete it, or choose another --output") from None
    here = describe_machine(settings.threads)
    if any(machine != here for machine in machines):
        raise UsageError(
            f"{path} was measured on another machine, with other versions or other threads; one table must not mix "
            "them: delete it, or choose another --output"
        )
    if targets - {settings.target}:
        raise UsageError(f"{path} was measured for {', '.join(targets)}: delete it, or choose another --output")
    return rows


def _case_of(row: dict[str, Any]) -> Case:
    return Case(row["model"], row["rate"], row["batch"], tuple(row["granularity"]))


def _order(row: dict[str, Any]) -> tuple[int, str, int, float]:
    return len(row["model"]), row["model"], row["batch"], row["rate"]


def write(rows: list[dict[str, Any]], output: Path) -> None:
    """Write the rows as JSON, as a table and as a plot; each file appears under its name when it is whole."""
    results = {"schema": SCHEMA, "rows": rows}
    write_results(output, "lasnet_cpu", results, markdown(rows), lambda path: plot(rows, path))


def _latency_ms(report: dict[str, Any], runtime: str, network: str) -> float | None:
    for row in report["rows"]:
        if (row["runtime"], row["network"]) == (runtime, network) and row["latency"] is not None:
            return float(row["latency"]["median_s"]) * 1e3
    return None


def _measured_rate(report: dict[str, Any]) -> float:
    """The mean over the masks; 1 where there are none."""
    rate = report["activation_rate"]
    return 1.0 if rate is None else float(rate)


def _summary(row: dict[str, Any]) -> str:
    report = row["report"]
    own = f"{_latency_ms(report, 'lascompile', 'artifact'):.1f} ms"
    if report["ratio"] is None:
        return own
    return f"{own}, {report['ratio']['median']:.3f} of static {report['fastest_static']}"


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table; latencies are medians in milliseconds."""
    machine = rows[0]["report"]["machine"]
    runtimes = [name for name in BASELINES if any(_latency_ms(row["report"], name, "static") for row in rows)]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    granularity = "-".join(map(str, max(list(row["granularity"]) for row in rows)))
    headings = [
        *("model", "batch", "r wanted", "r measured", "lascompile"),
        *(f"{name}, static" for name in runtimes),
        *(f"{name}, masked" for name in runtimes),
        "ratio to the fastest static",
    ]
    lines = [
        f"Median latency in ms, S = {granularity}, float32, on {machine['threads']} threads of {machine['cpu']} "
        f"({machine['cores']} cores; {versions}), built for {rows[0]['target']}. «static»: the same network without "
        "masks; «masked»: the ONNX file as it is. The ratio is taken round by round, with the quartiles of the rounds.",
        "",
        "| " + " | ".join(headings) + " |",
        "|---" + "|---:" * (len(headings) - 1) + "|",
        *("| " + " | ".join(_cells(row, runtimes)) + " |" for row in rows),
        "",
        *(f"- {line}" for line in dict.fromkeys(_notes(rows))),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _cells(row: dict[str, Any], runtimes: Sequence[str]) -> list[str]:
    report, ratio = row["report"], row["report"]["ratio"]
    latencies = [
        _latency_ms(report, "lascompile", "artifact"),
        *(_latency_ms(report, name, network) for network in ("static", "dynamic") for name in runtimes),
    ]
    shown = "-" if ratio is None else f"**{ratio['median']:.3f}** ({ratio['q1']:.3f} to {ratio['q3']:.3f})"
    return [
        row["model"],
        str(row["batch"]),
        f"{row['rate']:.2f}",
        f"{_measured_rate(report):.2f}",
        *("-" if latency is None else f"{latency:.1f}" for latency in latencies),
        shown,
    ]


def _notes(rows: list[dict[str, Any]]) -> Iterable[str]:
    for row in rows:
        for entry in row["report"]["rows"]:
            if entry["note"]:
                yield f"{entry['runtime']}, {entry['network']}: {entry['note']}"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """The ratio over the measured activation rate, a line a network and batch size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    axes.axhline(1.0, color="black", linewidth=1, label="fastest runtime on the static network")
    lines: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        if row["report"]["ratio"] is not None:
            lines.setdefault((row["model"], row["batch"]), []).append(row["report"])
    for (model, batch), reports in lines.items():
        rates = [_measured_rate(report) for report in reports]
        middle, low, high = ([report["ratio"][name] for report in reports] for name in ("median", "q1", "q3"))
        (line,) = axes.plot(rates, middle, marker="o", label=f"{model}, batch {batch}")
        axes.fill_between(rates, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(xlabel="measured activation rate r", ylabel="latency, relative to static", xlim=(0, 1.02), ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=150, format="png")
    pyplot.close(figure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, metavar="R")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES, metavar="N")
    parser.add_argument("--baselines", nargs="*", default=tuple(BASELINES), choices=tuple(BASELINES))
    parser.add_argument("--repeats", type=int, default=100, metavar="N", help="timed runs at batch 1 (default: 100)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: the physical cores")
    parser.add_argument("--target", default="llvm", help="what lascompile builds for (default: llvm, this CPU)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", metavar="DIR")
    parser.add_argument("--again", action="store_true", help="measure rows again that are there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
