"""Windows over maps, from what ONNX says of them."""

from __future__ import annotations

from lascompile.workload import WindowShape


def window(
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    pad: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilation: tuple[int, int] = (1, 1),
    size: tuple[int, int] = (7, 9),
    batch: int = 1,
) -> WindowShape:
    """The window with ONNX's padding (top, left, bottom, right); the output size follows from it."""
    padded = [size[axis] + pad[axis] + pad[axis + 2] for axis in (0, 1)]
    height, width = (
        (padded[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1 for axis in (0, 1)
    )
    return WindowShape(batch, kernel, stride, (pad[0], pad[1]), dilation, size, (height, width))
