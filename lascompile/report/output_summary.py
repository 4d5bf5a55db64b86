"""A model's outputs in a few lines: the best classes where they are scores of classes, else their range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lascompile.manifest import TensorSpec

TOP = 5
"""Classes that are told, unless the user wants another number of them."""
MOST_IMAGES = 8
"""Images of a batch whose classes are told."""


@dataclass(frozen=True)
class Classes:
    """How classes are told.

    Attributes:
        top: So many of the best.
        labels: Their names by number; empty if unknown.
        images: Names of the images; empty if they have none.
    """

    top: int = TOP
    labels: Sequence[str] = ()
    images: Sequence[str] = ()

    def label(self, number: int) -> str:
        """The name of a class."""
        return self.labels[number] if number < len(self.labels) else f"class {number}"

    def image(self, number: int) -> str:
        """The name of an image."""
        return self.images[number] if number < len(self.images) else f"image {number}"


def are_scores(output: np.ndarray) -> bool:
    """Whether `output` is [N, classes]."""
    return output.ndim == 2 and output.shape[1] >= 2 and output.dtype.kind == "f"


def best_classes(output: np.ndarray, top: int = TOP) -> list[list[tuple[int, float]]] | None:
    """Of each image, the `top` classes with their scores; None if `output` is not [N, classes]."""
    if not are_scores(output):
        return None
    order = np.argsort(-output, axis=1, kind="stable")[:, :top]
    return [[(int(index), float(row[index])) for index in best] for row, best in zip(output, order, strict=True)]


def summary_lines(spec: TensorSpec, output: np.ndarray, told: Classes = Classes()) -> list[str]:
    """What output `spec` holds, for a person to read."""
    heading = f"{spec.name} [{', '.join(map(str, output.shape))}] {spec.dtype}"
    missing = int(np.isnan(output).sum()) if output.dtype.kind == "f" else 0
    notes = f", {missing} of {output.size} are NaN" if missing else ""
    best = best_classes(output, told.top)
    if best is None:
        return [f"{heading}: {_range(output)}{notes}"]
    lines = [
        f"  {told.image(image)}: " + ", ".join(f"{told.label(index)} ({score:.4g})" for index, score in scores)
        for image, scores in enumerate(best[:MOST_IMAGES])
    ]
    if len(best) > MOST_IMAGES:
        lines.append(f"  and {len(best) - MOST_IMAGES} more images")
    return [f"{heading}{notes}, best of {output.shape[1]} classes:", *lines]


def summary_json(spec: TensorSpec, output: np.ndarray, told: Classes = Classes()) -> dict[str, Any]:
    """The same for `--json`."""
    best = best_classes(output, told.top)
    classes = None if best is None else [[_class_json(i, score, told) for i, score in row] for row in best]
    return {"name": spec.name, "shape": list(output.shape), "dtype": spec.dtype, "best": classes}


def _class_json(number: int, score: float, told: Classes) -> dict[str, Any]:
    label = {"label": told.label(number)} if told.labels else {}
    return {"class": number, "score": score, **label}


def _range(output: np.ndarray) -> str:
    known = output[~np.isnan(output)] if output.dtype.kind == "f" else output
    if not known.size:
        return "no numbers"
    return f"from {known.min():.4g} to {known.max():.4g}, mean {known.mean():.4g}"
