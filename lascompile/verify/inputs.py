"""What an artifact is tried on: inputs of the shapes that its manifest states, and masks to force."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lascompile.manifest import TensorSpec
from lascompile.sample_inputs import natural_inputs, noise


@dataclass(frozen=True)
class InputCase:
    """One array an input of the model."""

    name: str
    kind: str
    arrays: list[np.ndarray]


def input_cases(specs: Sequence[TensorSpec], seed: int) -> Iterator[InputCase]:
    """Natural-like, random, constant and NaN-bearing inputs."""
    natural = natural_inputs(specs, seed)
    yield InputCase("natural-like 1", "natural", natural)
    yield InputCase("natural-like 2", "natural", natural_inputs(specs, seed + 1))
    yield InputCase("normal noise", "random", [noise(spec, seed) for spec in specs])
    for number in (0, 1):
        yield InputCase(f"all {number}", "constant", [np.full(spec.shape, number, spec.dtype) for spec in specs])
    yield from _nan_cases(natural, seed)


def _nan_cases(natural: list[np.ndarray], seed: int) -> Iterator[InputCase]:
    """One NaN an image; and where there are several images, in the last one alone."""
    first = natural[0]
    if not np.issubdtype(first.dtype, np.floating) or first.ndim < 2:
        return
    batch = len(first)
    yield InputCase("a NaN in every image", "nan", [_with_nan(first, range(batch), seed), *natural[1:]])
    if batch > 1:
        yield InputCase("a NaN in one image", "nan", [_with_nan(first, [batch - 1], seed), *natural[1:]])


def _with_nan(array: np.ndarray, images: Sequence[int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    array = array.copy()
    for image in images:
        array[(image, *(int(rng.integers(size)) for size in array.shape[1:]))] = np.nan
    return array


Pattern = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.random(shape) < 0.5


def _coherent(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Blobs: where a sum of a few plane waves is above zero, in each image and group on its own."""
    if len(shape) < 2:
        return _random(rng, shape)
    *images, height, width = shape
    y = np.arange(height)[:, None] / height
    x = np.arange(width)[None, :] / width
    field = np.zeros(shape)
    for _ in range(4):
        across, down, phase = rng.uniform([-2, -2, 0], [2, 2, 1], (*images, 1, 1, 3)).transpose(-1, *range(len(shape)))
        field += np.cos(2 * np.pi * (across * x + down * y + phase))
    return field > 0


PATTERNS: dict[str, Pattern] = {
    "on": lambda _, shape: np.ones(shape, bool),
    "off": lambda _, shape: np.zeros(shape, bool),
    "random": _random,
    "coherent": _coherent,
}
"""Masks [N, G, h, w] to force, by name."""
