"""A window over maps, as convolutions and poolings have it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WindowShape:
    """A window over a batch of maps: output pixel y reads input y * stride - pad + i * dilation (see `Window`)."""

    batch: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    input_size: tuple[int, int]
    output_size: tuple[int, int]

    @property
    def input_rows(self) -> int:
        """Pixels that are read from."""
        return self.batch * self.input_size[0] * self.input_size[1]

    @property
    def output_rows(self) -> int:
        """Pixels that are computed."""
        return self.batch * self.output_size[0] * self.output_size[1]

    @property
    def taps(self) -> int:
        """Input pixels read per output pixel."""
        return self.kernel[0] * self.kernel[1]
