"""What runtimes lose beside other programs, how they serve several threads, and what they leave behind.

    python benchmarks/sharing.py                                    everything, a quarter of an hour on two cores
    python benchmarks/sharing.py --models lasnet_resnet_tiny --rounds 3 --seconds 0.3 --threads-called 500 --loads 20

For a small and a large LASNet, with random weights and S = 4-4-2-1: exports, builds, and lets lascompile, onnxruntime
and OpenVINO run the same ONNX file, each in a process of its own, in turns, on the same number of threads:

- one thread that calls, alone and beside one and two processes that compute without end. The loss is the mean latency
  beside them over that alone, round by round;
- several threads that call one model: requests in a second, and how evenly they share them;
- of lascompile alone: threads, open files and memory that are left after thousands of short-lived threads that called,
  and after hundreds of loads.

Writes sharing.json and sharing.md into benchmarks/results (--output).
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lascompile.bench import describe_machine
from lascompile.bench.busy import BusyProcesses
from lascompile.bench.resident import LASCOMPILE, Held, Model, Resident, Served
from lascompile.bench.result_files import write_results
from lascompile.cpu import physical_cores
from lascompile.errors import LascompileError

MODELS = ("lasnet_resnet_tiny", "lasnet_resnet50")
GRANULARITY = (4, 4, 2, 1)
RUNTIMES = (LASCOMPILE, "onnxruntime", "openvino")
BUSY = (0, 1, 2)
CLIENTS = (1, 2, 8)
SCHEMA = 1
ALLOWED_LOSS = 1.5
"""Of the loss of another runtime; see `docs/runtime.md`."""

_QUARTILES = (25, 50, 75)


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        threads: Of every runtime.
        rounds: Turns of each.
        seconds: Length of a turn.
        threads_called: Short-lived threads.
        loads: Of the model.
    """

    threads: int
    rounds: int
    seconds: float
    threads_called: int
    loads: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measures, and writes the results."""
    args = _parser().parse_args(argv)
    settings = Settings(
        args.threads or physical_cores(), args.rounds, args.seconds, args.threads_called, args.loads
    )
    results: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": describe_machine(settings.threads),
        "settings": asdict(settings),
        "models": {},
    }
    args.output.mkdir(parents=True, exist_ok=True)
    try:
        for name in args.models:
            with tempfile.TemporaryDirectory(prefix="sharing_") as folder:
                model = build(name, settings, Path(folder))
                results["models"][name] = measure(model, settings, args.runtimes)
            write_results(args.output, "sharing", results, markdown(results))
            print(f"{name}: done", flush=True)
    except LascompileError as error:
        print(f"{Path(__file__).name}: error: {error}", file=sys.stderr)
        return error.exit_code
    print((args.output / "sharing.md").read_text())
    return 0


def build(name: str, settings: Settings, folder: Path) -> Model:
    """Export and build the network, in a process whose memory and threads are its own."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        pool.apply(_build, (name, settings.threads, folder))
    return Model(folder / "m.onnx", folder / "m.lasc", settings.threads)


def _build(name: str, threads: int, folder: Path) -> None:
    from lascompile.compile import build_artifact
    from lascompile.models import create_model, export, prepare
    from lascompile.models.preparation import calibration_images

    model = create_model(name, granularity=GRANULARITY)
    prepare(model, calibration_images((224, 224), seed=0), activation_rate=0.5)
    build_artifact(export(model, folder / "m.onnx"), folder / "m.lasc", threads=threads)


def measure(model: Model, settings: Settings, runtimes: Sequence[str]) -> dict[str, Any]:
    """All figures of one network, as JSON types."""
    with ExitStack() as stack:
        residents = {name: stack.enter_context(closing(Resident(name, model))) for name in runtimes}
        busy = stack.enter_context(closing(BusyProcesses(max(BUSY))))
        beside = [_beside(residents, busy, settings) for _ in range(settings.rounds)]
        served = [_served(residents, settings) for _ in range(settings.rounds)]
        held = {name: _held(resident, settings) for name, resident in residents.items() if name == LASCOMPILE}
    return {
        name: {
            "beside": {str(count): _losses([turn[name] for turn in beside], count) for count in BUSY},
            "clients": {str(count): _rates([turn[name] for turn in served], count) for count in CLIENTS},
            **({"held": held[name]} if name in held else {}),
        }
        for name in runtimes
    }


def _beside(
    residents: dict[str, Resident], busy: BusyProcesses, settings: Settings
) -> dict[str, dict[int, np.ndarray]]:
    """A turn of each: seconds of calls, by runtime and number of busy processes."""
    found: dict[str, dict[int, np.ndarray]] = {name: {} for name in residents}
    for count in BUSY:
        with busy.running(count):
            for name, resident in residents.items():
                found[name][count] = resident.latencies(settings.seconds)
    return found


def _served(residents: dict[str, Resident], settings: Settings) -> dict[str, dict[int, Served]]:
    found: dict[str, dict[int, Served]] = {name: {} for name in residents}
    for count in CLIENTS:
        for name, resident in residents.items():
            found[name][count] = resident.serve(count, settings.seconds)
    return found


def _held(resident: Resident, settings: Settings) -> dict[str, Any]:
    """What is left behind."""
    kinds: dict[str, tuple[int, Held]] = {
        "short_lived_threads": (settings.threads_called, resident.short_lived_threads(settings.threads_called)),
        "loads": (settings.loads, resident.loads(settings.loads)),
    }
    return {kind: {"count": count, **asdict(held)} for kind, (count, held) in kinds.items()}


def _losses(turns: Sequence[dict[int, np.ndarray]], count: int) -> dict[str, Any]:
    calls = np.concatenate([turn[count] for turn in turns])
    losses = [turn[count].mean() / turn[0].mean() for turn in turns]
    return {
        "median_s": float(np.median(calls)),
        "mean_s": float(calls.mean()),
        "p99_s": float(np.percentile(calls, 99)),
        "loss": [float(value) for value in np.percentile(losses, _QUARTILES)],
    }


def _rates(turns: Sequence[dict[int, Served]], count: int) -> dict[str, Any]:
    served = [turn[count] for turn in turns]
    return {
        "per_s": [float(value) for value in np.percentile([turn.rate_per_s for turn in served], _QUARTILES)],
        "fairness": float(np.median([turn.fairness for turn in served])),
        "p99_s": float(np.percentile(np.concatenate([turn.latencies_s for turn in served]), 99)),
    }


def markdown(results: dict[str, Any]) -> str:
    """The tables."""
    machine, settings = results["machine"], results["settings"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['threads']} threads each on {machine['cpu']} ({machine['cores']} cores; {versions}). Runtimes run "
        f"the same ONNX file, with masks, by turns of {settings['seconds']:g} s, {settings['rounds']} of each.",
    ]
    for name, found in results["models"].items():
        lines += ["", f"## {name}", "", *_beside_table(found), "", *_clients_table(found)]
        lines += ["", *_held_table(found)] if LASCOMPILE in found else []
    return "\n".join(lines) + "\n"


def _beside_table(found: dict[str, Any]) -> Iterator[str]:
    yield "Latency in ms beside processes that compute without end: mean (median, 99th percentile), and the loss: the"
    yield "mean over that alone, median of the rounds (quartiles)."
    yield ""
    yield "| runtime | alone | beside 1 | loss | beside 2 | loss |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, entry in found.items():
        cells = [_latency(entry["beside"]["0"])]
        for count in ("1", "2"):
            cells += [_latency(entry["beside"][count]), _spread(entry["beside"][count]["loss"])]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield from _verdict(found)


def _verdict(found: dict[str, Any]) -> Iterator[str]:
    """How lascompile's loss compares, where it was measured with others."""
    others = [name for name in found if name != LASCOMPILE]
    if LASCOMPILE not in found or not others:
        return
    yield ""
    for count in ("1", "2"):
        own = found[LASCOMPILE]["beside"][count]["loss"][1]
        shares = ", ".join(f"{own / found[name]['beside'][count]['loss'][1]:.2f} of {name}'s" for name in others)
        yield f"- beside {count}: lascompile's loss is {shares} (at most {ALLOWED_LOSS:g} is wanted)"


def _latency(entry: dict[str, Any]) -> str:
    mean, median, p99 = (entry[f"{name}_s"] * 1e3 for name in ("mean", "median", "p99"))
    return f"{mean:.3g} ({median:.3g}, {p99:.3g})"


def _spread(values: Sequence[float]) -> str:
    return f"**{values[1]:.2f}** ({values[0]:.2f}–{values[2]:.2f})"


def _clients_table(found: dict[str, Any]) -> Iterator[str]:
    yield "Threads that call one model: requests in a second, and in brackets the requests of the thread that had"
    yield "fewest over those of the one that had most, and the 99th percentile of the latency."
    yield ""
    yield "| runtime | " + " | ".join(f"{count} thread{'s' * (count > 1)}" for count in CLIENTS) + " |"
    yield "|---" + "|---:" * len(CLIENTS) + "|"
    for name, entry in found.items():
        cells = [
            f"{rate['per_s'][1]:.4g} ({rate['fairness']:.2f}, {rate['p99_s'] * 1e3:.3g} ms)"
            for rate in (entry["clients"][str(count)] for count in CLIENTS)
        ]
        yield f"| {name} | " + " | ".join(cells) + " |"


def _held_table(found: dict[str, Any]) -> Iterator[str]:
    yield "What lascompile leaves behind:"
    yield ""
    yield "| after | threads | open files | MiB of memory |"
    yield "|---|---:|---:|---:|"
    kinds = {"short_lived_threads": "threads that called once and ended", "loads": "loads"}
    for kind, words in kinds.items():
        held = found[LASCOMPILE]["held"][kind]
        memory = held["resident_bytes"] / 2**20
        yield f"| {held['count']} {words} | {held['threads']} | {held['files']} | {memory:.1f} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="NAME", help="networks of the zoo")
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, choices=RUNTIMES)
    parser.add_argument("--threads", type=int, metavar="N", help="of every runtime (default: the physical cores)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="length of a turn")
    parser.add_argument("--threads-called", type=int, default=10_000, metavar="N", help="short-lived threads")
    parser.add_argument("--loads", type=int, default=500, metavar="N")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main())
