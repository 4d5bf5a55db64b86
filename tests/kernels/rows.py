"""Feature maps as row matrices, and back."""

from __future__ import annotations

import numpy as np

from lascompile.workload import ROW_SLACK, channel_stride


def as_rows(images: np.ndarray, beyond: float = np.nan) -> np.ndarray:
    """[N, C, H, W] → [N*H*W + ROW_SLACK, stride]; row 0 is zero, slack and surplus channels are `beyond`."""
    batch, channels, height, width = images.shape
    pixels = batch * height * width
    matrix = np.full((pixels + ROW_SLACK, channel_stride(channels)), beyond, np.float32)
    matrix[0] = 0
    matrix[1 : pixels + 1, :channels] = images.transpose(0, 2, 3, 1).reshape(pixels, channels)
    return matrix


def as_map(matrix: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
    """The map [N, C, H, W] that a row matrix holds."""
    batch, channels, height, width = shape
    rows = matrix[1 : batch * height * width + 1, :channels]
    return rows.reshape(batch, height, width, channels).transpose(0, 3, 1, 2)


def unwritten(shape: tuple[int, int, int, int], sentinel: np.float32) -> np.ndarray:
    """The row matrix of a map before anything is stored in it."""
    batch, channels, height, width = shape
    return np.full((batch * height * width + ROW_SLACK, channel_stride(channels)), sentinel, np.float32)
