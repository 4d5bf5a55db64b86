"""What is fuzzed: a sound file of each kind, and what reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from lascompile.cli.input_files import read_inputs
from lascompile.compile import build_artifact
from lascompile.journal import Journal
from lascompile.manifest import Manifest, TensorSpec, check_files
from lascompile.models.images import natural_images_uint8
from lascompile.plan.plan import Plan
from lascompile.records.record import Record
from lascompile.report.inspection import inspect_model
from tests.masked_nets import masked_network
from tests.records.samples import record

_IMAGES = (TensorSpec("x", (1, 3, 16, 16), "float32"),)


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: By which it is chosen.
        make: Writes sound files into a folder; the first one is mutated.
        read: Takes the path of a damaged one; raises nothing but a LascompileError.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], object]


def _onnx(folder: Path) -> Path:
    path = folder / "m.onnx"
    onnx.save(masked_network(head=True, blocks=1, size=8), path)
    return path


def _artifact(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        artifact = build_artifact(_onnx(folder), folder / "m.lasc", threads=1)
        return artifact / name if name else next(artifact.glob("model-*.so"))

    return make


def _read_artifact(path: Path) -> None:
    check_files(path.parent, Manifest.read(path.parent))


def _records(folder: Path) -> Path:
    journal = Journal(folder / "trials.jsonl")
    journal.append(record().to_json(), record(2e-3).to_json())
    return journal.path


def _read_records(path: Path) -> None:
    for entry in Journal(path).entries():
        try:
            Record.from_json(entry.data)
        except ValueError:
            continue  # what a collection reports as unreadable


def _picture(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"x{ending}"
        Image.fromarray(natural_images_uint8(1, 24, 0)[0]).save(path)
        return path

    return make


def _array(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"x{ending}"
        image = np.zeros((1, 3, 16, 16), np.float32)
        np.save(path, image) if ending == ".npy" else np.savez(path, x=image)
        return path

    return make


def _plan(folder: Path) -> Path:
    path = folder / "plan.json"
    path.write_text(json.dumps({"schema": 1, "convolutions": {"a": "direct", "b": "winograd4"}}))
    return path


def _read_inputs(path: Path) -> object:
    return read_inputs(path, _IMAGES)


TARGETS = {
    target.name: target
    for target in (
        Target("onnx", _onnx, inspect_model),
        Target("manifest", _artifact("manifest.json"), _read_artifact),
        Target("constants", _artifact("constants.bin"), _read_artifact),
        Target("library", _artifact(""), _read_artifact),
        Target("records", _records, _read_records),
        Target("plan", _plan, Plan.read),
        *(Target(f"image{ending}", _picture(ending), _read_inputs) for ending in (".png", ".jpg", ".gif", ".tiff")),
        *(Target(f"array{ending}", _array(ending), _read_inputs) for ending in (".npy", ".npz")),
    )
}
