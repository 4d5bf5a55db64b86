"""A model's outputs in a few lines: the best classes where they are scores of classes, else their range."""

from __future__ import annotations

from typing import Any

import numpy as np

from lascompile.manifest import TensorSpec

TOP = 5
MOST_IMAGES = 8
"""Images of a batch whose classes are told."""


def best_classes(output: np.ndarray) -> list[list[tuple[int, float]]] | None:
    """Of each image, the `TOP` classes with their scores; None if `output` is not [N, classes]."""
    if output.ndim != 2 or output.shape[1] < 2 or output.dtype.kind != "f":
        return None
    order = np.argsort(-output, axis=1, kind="stable")[:, :TOP]
    return [[(int(index), float(row[index])) for index in best] for row, best in zip(output, order, strict=True)]


def summary_lines(spec: TensorSpec, output: np.ndarray) -> list[str]:
    """What output `spec` holds, for a person to read."""
    heading = f"{spec.name} [{', '.join(map(str, spec.shape))}] {spec.dtype}"
    missing = int(np.isnan(output).sum()) if output.dtype.kind == "f" else 0
    notes = f", {missing} of {output.size} are NaN" if missing else ""
    best = best_classes(output)
    if best is None:
        return [f"{heading}: {_range(output)}{notes}"]
    lines = [
        f"  image {image}: " + ", ".join(f"class {index} ({score:.4g})" for index, score in scores)
        for image, scores in enumerate(best[:MOST_IMAGES])
    ]
    if len(best) > MOST_IMAGES:
        lines.append(f"  and {len(best) - MOST_IMAGES} more images")
    return [f"{heading}{notes}, best of {output.shape[1]} classes:", *lines]


def summary_json(spec: TensorSpec, output: np.ndarray) -> dict[str, Any]:
    """The same for `--json`."""
    best = best_classes(output)
    classes = None if best is None else [[{"class": i, "score": score} for i, score in row] for row in best]
    return {"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype, "best": classes}


def _range(output: np.ndarray) -> str:
    known = output[~np.isnan(output)] if output.dtype.kind == "f" else output
    if not known.size:
        return "no numbers"
    return f"from {known.min():.4g} to {known.max():.4g}, mean {known.mean():.4g}"
