"""Images with the statistics of photographs, from a seed; numpy only.

A masker needs something to choose between: flat sky and fur, objects and ground. White noise has neither, and
every patch of it is like every other. These images follow three regularities of photographs:

- amplitude falls as 1/f and colour channels are correlated (Field 1987; Ruderman et al. 1998);
- things occlude each other, at all sizes: the «dead leaves» model (Lee, Mumford and Huang 2001);
- edges are more or less in focus, and surfaces more or less textured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_OPPONENT_TO_RGB = np.array([[1.0, 1.0, 1.0], [0.7, 0.1, -0.8], [0.4, -0.6, 0.2]], dtype=np.float32)
"""Rows: lightness, yellow against blue, red against green; the principal axes of colour in photographs."""
_OPPONENT_SPREAD = np.array([0.22, 0.09, 0.05], dtype=np.float32)
"""Standard deviation along each axis, for values from 0 to 1."""
_TEXTURE_SHARE = np.array([1.0, 0.4, 0.4], dtype=np.float32)
"""A surface's texture is mostly in its lightness."""
_EVEN, _RICH = (0.03, 0.06, 0.12), (0.3, 0.5, 0.8)
"""Contrasts of a surface's texture, relative to the spread of colours."""

_LEAVES = 16
"""Objects an image; most are small, and many are covered by later ones."""
_RADIUS = (0.06, 0.5)
"""Smallest and largest radius of an object, as a share of the image's shorter side."""


def natural_images(count: int, size: int | tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Make images as a network takes them: [count, 3, H, W], normalised by ImageNet's mean and deviation.

    Image i depends on the seed, the size and i, not on the count.
    """
    return normalize(natural_images_uint8(count, size, seed))


def natural_images_uint8(count: int, size: int | tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Make the same images as a file holds them: [count, H, W, 3], values 0 to 255."""
    height, width = (size, size) if isinstance(size, int) else size
    images = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        scene = _scene(np.random.default_rng([seed, i]), height, width)
        images[i] = np.clip(np.rint(scene * 255), 0, 255).astype(np.uint8)
    return images


def normalize(
    images: NDArray[np.uint8], mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD
) -> NDArray[np.float32]:
    """[N, H, W, 3] of 0 to 255 → [N, 3, H, W] of 0 to 1, less `mean`, over the standard deviation `std`."""
    scale = 1 / (255 * np.array(std, np.float32))
    shift = np.array(mean, np.float32) / np.array(std, np.float32)
    return np.ascontiguousarray((images * scale - shift).transpose(0, 3, 1, 2), dtype=np.float32)


def _scene(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """One image [H, W, 3] of about 0 to 1: sky and ground, leaves over them, uneven light, a little noise."""
    texture = _texture(rng, height, width)
    # Every scene has an even part and a rich one, so that no image is all dull or all busy.
    scene = _surface(rng, texture, rng.choice(_EVEN))
    ground = _surface(rng, texture, rng.choice(_RICH))
    scene += _below_horizon(rng, height, width)[..., None] * (ground - scene)
    for radius in sorted(_radii(rng, min(height, width)), reverse=True):
        # Cut from another place of the same texture: a new one would cost a Fourier transform a leaf.
        shift = (int(rng.integers(height)), int(rng.integers(width)))
        surface = _surface(rng, np.roll(texture, shift, axis=(0, 1)), rng.choice(_EVEN + _RICH))
        scene += _leaf(rng, height, width, radius)[..., None] * (surface - scene)
    scene *= _light(rng, height, width)[..., None]
    return scene + rng.normal(0, 0.008, scene.shape).astype(np.float32)


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Noise [H, W, 3] along the opponent axes, deviation 1, whose amplitude falls as 1/f."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise = rng.standard_normal((3, height, width), dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(noise) / frequency, s=(height, width))
    # A single row or pixel has no frequency but 0, and so no deviation to divide by.
    field /= np.maximum(field.std(axis=(1, 2), keepdims=True), 1e-6)
    return field.transpose(1, 2, 0).astype(np.float32)


def _surface(rng: np.random.Generator, texture: NDArray[np.float32], contrast: float) -> NDArray[np.float32]:
    """A colour of its own plus so much of the texture, [H, W, 3] in RGB."""
    base = rng.uniform(-1.6, 1.6, 3).astype(np.float32)
    opponent = (base + np.float32(contrast) * _TEXTURE_SHARE * texture) * _OPPONENT_SPREAD
    return 0.45 + opponent @ _OPPONENT_TO_RGB


def _below_horizon(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """0 above and 1 below a wavy, tilted, more or less soft line through the middle of the image [H, W]."""
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    waves = 0.05 * np.sin(2 * np.pi * (rng.uniform(0.5, 3) * x + rng.random()))
    line = rng.uniform(0.35, 0.65) + rng.uniform(-0.4, 0.4) * (x - 0.5) + waves
    return np.clip(0.5 + (y - line) / rng.uniform(0.005, 0.1), 0, 1).astype(np.float32)


def _radii(rng: np.random.Generator, side: int) -> list[float]:
    """Radii in pixels, with the density r⁻³ at which the sizes of things make an image scale invariant."""
    low, high = (side * share for share in _RADIUS)
    quantile = rng.random(_LEAVES)
    return list((low**-2 - quantile * (low**-2 - high**-2)) ** -0.5)


def _leaf(rng: np.random.Generator, height: int, width: int, radius: float) -> NDArray[np.float32]:
    """How far each pixel [H, W] is covered, 0 to 1: by a lobed ellipse or rounded box with a soft edge."""
    angle = rng.uniform(0, np.pi)
    aspect = rng.uniform(0.5, 1.0)
    y = np.arange(height, dtype=np.float32)[:, None] - rng.uniform(0, height)
    x = np.arange(width, dtype=np.float32)[None, :] - rng.uniform(0, width)
    along = (np.cos(angle) * x + np.sin(angle) * y) / radius
    across = (np.cos(angle) * y - np.sin(angle) * x) / (radius * aspect)
    power = rng.choice([2.0, 2.0, 5.0])
    distance = (np.abs(along) ** power + np.abs(across) ** power) ** (1 / power)
    lobes = 1 + 0.15 * np.sin(rng.integers(2, 6) * np.arctan2(across, along) + rng.uniform(0, 2 * np.pi))
    softness = rng.choice([0.7, 0.7, 2.0, 4.0])
    return np.clip(0.5 + (lobes - distance) * radius / softness, 0, 1).astype(np.float32)


def _light(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """A factor [H, W] that falls off in one direction."""
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    return (1 + strength * (np.cos(angle) * x + np.sin(angle) * y)).astype(np.float32)
