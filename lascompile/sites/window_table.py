"""Where the taps of a window lie in a dense map, known at build time."""

from __future__ import annotations

import numpy as np

from lascompile.workload import ROW_SLACK, WindowShape


def dense_table(shape: WindowShape) -> np.ndarray:
    """The input row of each tap of every output pixel, [output pixels + ROW_SLACK, taps] int32; 0 outside the image."""
    reads = []
    for axis in (0, 1):
        start = np.arange(shape.output_size[axis]) * shape.stride[axis] - shape.pad[axis]
        reads.append(start[:, None] + np.arange(shape.kernel[axis]) * shape.dilation[axis])
    y, x = reads[0][None, :, None, :, None], reads[1][None, None, :, None, :]
    height, width = shape.input_size
    image = np.arange(shape.batch)[:, None, None, None, None]
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    rows = np.where(inside, (image * height + y) * width + x + 1, 0).reshape(-1, shape.taps)
    padded = np.concatenate([rows, np.zeros((ROW_SLACK, shape.taps), rows.dtype)]).astype(np.int32)
    return padded if shape.taps > 1 else padded[:, 0]
