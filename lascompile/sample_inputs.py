"""Inputs of the shapes that a manifest states, for whoever has none at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lascompile.manifest import TensorSpec
from lascompile.models.images import natural_images


def natural_inputs(specs: Sequence[TensorSpec], seed: int) -> list[np.ndarray]:
    """Arrays with the statistics of photographs, where an input has the shape of images; elsewhere noise."""
    return [_images(spec, seed) if _holds_images(spec) else noise(spec, seed) for spec in specs]


def _holds_images(spec: TensorSpec) -> bool:
    return len(spec.shape) == 4 and spec.dtype == "float32"


def _images(spec: TensorSpec, seed: int) -> np.ndarray:
    count, channels, height, width = spec.shape
    images = natural_images(count, (height, width), seed)
    return np.ascontiguousarray(images[:, np.arange(channels) % 3])


def noise(spec: TensorSpec, seed: int) -> np.ndarray:
    """Normal noise, or zeros and ones where the element type is no floating-point one."""
    rng = np.random.default_rng([seed, *spec.name.encode()])
    if np.issubdtype(np.dtype(spec.dtype), np.floating):
        return rng.standard_normal(spec.shape).astype(spec.dtype)
    return rng.integers(0, 2, spec.shape).astype(spec.dtype)
