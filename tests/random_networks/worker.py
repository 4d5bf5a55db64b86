"""Judge the networks of some seeds in this process, and tell of each in a line of JSON.

python -m tests.random_networks.worker FOLDER SEED...
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TextIO

import onnx

from tests.random_networks.judge import FAULTS, judge
from tests.random_networks.network import network_of
from tests.random_networks.shrink import shrunk

_NUMERICS = ("fast", "exact")


def main() -> None:
    """A line when a network begins, and one when it is judged."""
    folder, seeds = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]]
    with _own_output() as lines:
        for seed in seeds:
            print(json.dumps({"begins": seed}), file=lines, flush=True)
            kind, detail = _judged(seed, folder)
            print(json.dumps({"seed": seed, "kind": kind, "detail": detail}), file=lines, flush=True)


def _judged(seed: int, folder: Path) -> tuple[str, str]:
    numerics = _NUMERICS[seed % len(_NUMERICS)]
    model = network_of(seed)
    verdict = judge(model, numerics)
    if verdict.kind in FAULTS:
        onnx.save(model, folder / f"{verdict.kind}_{seed}_whole.onnx")
        small = shrunk(model, lambda smaller: judge(smaller, numerics).kind == verdict.kind)
        onnx.save(small, folder / f"{verdict.kind}_{seed}.onnx")
    return verdict.kind, verdict.detail


def _own_output() -> TextIO:
    """Standard output as it was; TVM and onnxruntime, which write to file descriptors, write nowhere from now on."""
    lines = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    return lines


if __name__ == "__main__":
    main()
