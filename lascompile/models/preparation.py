"""From an architecture to a network worth compiling: weights, batch norms, maskers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lascompile.errors import UsageError
from lascompile.models.activation_rate import calibrate_activation_rate, measure_activation_rates
from lascompile.models.batch_norm import calibrate_batch_norm
from lascompile.models.checkpoint import load_checkpoint
from lascompile.models.images import natural_images, normalize
from lascompile.models.photos import load_photos
from lascompile.models.resnet import ResNet

DEFAULT_RATE = 0.5
"""Activation rate of maskers that nothing else says anything about."""

_IMAGES = 32
_PIXELS = _IMAGES * 224 * 224
_SEED = 1_000_000
"""Keeps the images of calibration apart from those that the same small seed gives elsewhere."""


def calibration_images(size: tuple[int, int], seed: int, directory: str | Path | None = None) -> NDArray[np.float32]:
    """Images [N, 3, H, W] of a folder, or generated; N is up to 32, fewer where they exceed 224 × 224."""
    count = max(4, min(_IMAGES, _PIXELS // (size[0] * size[1])))
    if directory is None:
        return natural_images(count, size, _SEED + seed)
    photos = load_photos(directory, count, size)
    if len(photos) < 2:
        raise UsageError(f"image folder {directory}: has 1 image, calibration needs at least 2")
    return normalize(photos)


def check_rate(activation_rate: float | None) -> None:
    """Refuse a rate outside (0, 1], before any work is done.

    Raises:
        UsageError: such a rate.
    """
    if activation_rate is not None and not 0 < activation_rate <= 1:
        raise UsageError(f"activation rate {activation_rate:g}: must be above 0 and at most 1")


def prepare(
    model: ResNet,
    images: NDArray[np.float32],
    *,
    checkpoint: str | Path | None = None,
    activation_rate: float | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Load or calibrate what `create_model` leaves random; return each block's activation rate on the images.

    Trained maskers stay as they are, unless a rate is asked for: then their biases are shifted. Others are
    calibrated to the rate, or to 0.5. A static network has nothing to calibrate but batch norms.

    Args:
        model: changed in place; in eval mode afterwards.
        images: [N, 3, H, W], N > 1, as `calibration_images` gives them.
        checkpoint: weights to load; None: the random ones, with batch norms calibrated on the images.
        activation_rate: wanted share of active positions in each block, in (0, 1].
        seed: of the maskers' weights.

    Raises:
        UsageError: a rate out of range, or a checkpoint that does not fit.
    """
    check_rate(activation_rate)
    model.eval()
    pixels = torch.from_numpy(images)
    trained_maskers = False
    if checkpoint is None:
        calibrate_batch_norm(model, pixels)
    else:
        trained_maskers = load_checkpoint(model, checkpoint)
    if next(model.maskers(), None) is None:
        return {}
    if activation_rate is not None or not trained_maskers:
        rate = DEFAULT_RATE if activation_rate is None else activation_rate
        return calibrate_activation_rate(model, pixels, rate, seed, keep_weights=trained_maskers)
    return measure_activation_rates(model, pixels)
