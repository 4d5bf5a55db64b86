"""What all workloads are, and the matrices of rows that kernels see.

Kernels see a feature map [N, C, H, W] as a matrix of rows, one row a pixel, its channels contiguous
(NHWC). A map of P = N*H*W pixels is a matrix [P + ROW_SLACK, channel_stride(C)]:

- row 0 is zero: what a convolution reads outside the image, or where a mask leaves a pixel out;
- row p + 1 is pixel p of a *dense* map, or the p-th active pixel of a *packed* one;
- the rows from P + 1 on are slack, into which the last tile of a kernel may write what nobody reads.

So a list of active pixels is a list of row numbers, and «nothing» is row 0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

ROW_SLACK = 32
"""Rows allotted beyond the pixels: row 0, and room for the last tile of at most ROW_SLACK - 1 rows."""

Activation = tuple[str | float, ...]
"""An element-wise function and its parameters, as in ("relu",) or ("clip", 0.0, 6.0)."""


def channel_stride(channels: int) -> int:
    """The width of a row of `channels`, rounded up so that rows start at vector boundaries."""
    if channels > 8:
        return -(-channels // 16) * 16
    return 4 if channels <= 4 else 8


@dataclass(frozen=True)
class Workload:
    """Base of all workloads.

    Raises:
        ValueError: A number is not positive, as in a record that somebody has edited.
    """

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.type == "int" and getattr(self, field.name) < 1:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}, at least 1 is needed")

    def key(self) -> str:
        """A name that equal workloads share and others do not."""
        return f"{self.name()}_{hashlib.sha256(repr(self).encode()).hexdigest()[:10]}"

    def name(self) -> str:
        """What the kernel does, in words of the field, for profiles."""
        raise NotImplementedError
