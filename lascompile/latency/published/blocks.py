"""Residual blocks of the published simulator, static and in each of the modes of LAUDNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lascompile.latency.published import kernels
from lascompile.latency.published.convolution import ConvShape, Patches, convolution, patch_convolution
from lascompile.latency.published.device import PublishedDevice
from lascompile.latency.published.squeeze_excitation import squeeze_excitation, squeeze_excitation_on_patches

_SQUEEZE = 0.25
_MASKER_REDUCTION = 16

Fusion = Literal["none", "masker", "gather", "scatter"]
"""How much is fused: nothing; masker and first convolution; gather and 3×3 as well; scatter and sum as well."""


@dataclass(frozen=True)
class SimulatedBlock:
    """A bottleneck: 1×1, 3×3 with stride, 1×1, and the sum. Height and width are those of its input."""

    in_channels: int
    out_channels: int
    height: int
    width: int
    bottleneck: int = 4
    """Output channels over those of the 3×3."""
    groups: int = 1
    stride: int = 1
    squeezes: bool = False

    @property
    def inner(self) -> int:
        """Channels of the 3×3."""
        return self.out_channels // self.bottleneck

    @property
    def output(self) -> tuple[int, int]:
        """Height and width of its output."""
        return self.height // self.stride, self.width // self.stride

    @property
    def squeezed(self) -> int:
        """Channels between the matrix products of squeeze-and-excitation."""
        return round(_SQUEEZE * self.in_channels)

    def first(self, extra: int = 0) -> ConvShape:
        """The first 1×1, with `extra` output channels for a masker."""
        return ConvShape(self.in_channels, self.inner + extra, self.height, self.width)

    def second(self) -> ConvShape:
        """The 3×3."""
        return ConvShape(self.inner, self.inner, self.height, self.width, 3, self.groups, self.stride)

    def third(self) -> ConvShape:
        """The last 1×1."""
        return ConvShape(self.inner, self.out_channels, *self.output)


@dataclass(frozen=True)
class BlockSimulator:
    """Latencies of one block, in seconds for `batch` images on `device`."""

    device: PublishedDevice
    batch: int
    shape: SimulatedBlock

    def static(self) -> float:
        """Without a mask."""
        return self._dense() + self._shortcut()

    def spatial(self, granularity: int, rate: float) -> float:
        """Under a spatial mask. [B3] All convolutions run at its rate: none on the dilated mask."""
        patches = Patches(granularity, rate)
        second = patch_convolution(self.device, self.shape.second(), self.batch, patches, indexed=True)
        third = patch_convolution(self.device, self.shape.third(), self.batch, patches, indexed=False)
        return (
            min(self._conv(self.shape.first(1)), self._separate_masker(patches))
            + second
            + third
            + self._scatter_add(patches)
            + self._shortcut()
            + self._pooled_on(patches)
        )

    def layer(self, density: float) -> float:
        """Skipped whole in all images but a share of `density`. [B8] As if a batch shrank for nothing."""
        masker = convolution(self.device, self.shape.first(1), self.batch, 1, 0)
        return masker + self._shortcut() + density * self._dense()

    def channel(self, density: float, group: int) -> float:
        """With a share of `density` of the inner channels, in groups of `group`. [B6] The sum is a scatter-add."""
        first = convolution(self.device, self.shape.first(), self.batch, 1, density)
        second = convolution(self.device, self.shape.second(), self.batch, density, density)
        third = convolution(self.device, self.shape.third(), self.batch, density, 1)
        every = Patches(1, 1.0)
        convolutions = first + self._channel_masker(group) + second + third
        return convolutions + self._scatter_add(every) + self._shortcut() + self._pooled_on(every)

    def fusion(self, granularity: int, rate: float, fused: Fusion) -> float:
        """Under a spatial mask, with kernels fused as far as `fused` says, and the masker's always where it is."""
        patches = Patches(granularity, rate)
        level = ("none", "masker", "gather", "scatter").index(fused)
        height, width = self.shape.output
        masker = self._conv(self.shape.first(1)) if level >= 1 else self._separate_masker(patches)
        second = patch_convolution(self.device, self.shape.second(), self.batch, patches, indexed=level >= 2)
        if level < 2:
            maps = self.shape.inner, self.shape.height, self.shape.width
            second += kernels.gather(self.device, *maps, self.batch, patches, pad=1)
        third = patch_convolution(self.device, self.shape.third(), self.batch, patches, indexed=False)
        if level >= 3:
            return masker + second + third + self._scatter_add(patches)
        out = self.shape.out_channels, height, width
        scattered = kernels.scatter(self.device, *out, self.batch, patches)
        return masker + second + third + scattered + kernels.add(self.device, *out, self.batch)

    def _conv(self, shape: ConvShape) -> float:
        return convolution(self.device, shape, self.batch)

    def _dense(self) -> float:
        shape = self.shape
        seconds = self._conv(shape.first()) + self._conv(shape.second()) + self._conv(shape.third())
        seconds += kernels.add(self.device, shape.out_channels, *shape.output, self.batch)
        if shape.squeezes:
            seconds += squeeze_excitation(self.device, shape.inner, *shape.output, shape.squeezed, self.batch)
        return seconds

    def _shortcut(self) -> float:
        """[B14] The stride decides: where only channels change there is none."""
        shape = self.shape
        if shape.stride == 1:
            return 0.0
        return self._conv(ConvShape(shape.in_channels, shape.out_channels, shape.height, shape.width, 1, 1, 2))

    def _separate_masker(self, patches: Patches) -> float:
        """[B6] Two channels at full resolution, whatever S; no pooling, comparison, list or table."""
        masker = ConvShape(self.shape.in_channels, 2, self.shape.height, self.shape.width)
        first = patch_convolution(self.device, self.shape.first(), self.batch, patches, indexed=True)
        return self._conv(masker) + first

    def _scatter_add(self, patches: Patches) -> float:
        return kernels.scatter_add(self.device, self.shape.out_channels, *self.shape.output, self.batch, patches)

    def _pooled_on(self, patches: Patches) -> float:
        shape = self.shape
        if not shape.squeezes:
            return 0.0
        return squeeze_excitation_on_patches(
            self.device, shape.inner, *shape.output, shape.squeezed, self.batch, patches
        )

    def _channel_masker(self, group: int) -> float:
        """[B6] Groups are counted in the block's input instead of the bottleneck."""
        shape = self.shape
        groups = shape.in_channels // group
        if groups == 1:
            return 0.0
        hidden = groups // min(_MASKER_REDUCTION, groups)
        pooled = kernels.average_pool(self.device, shape.in_channels, shape.height, shape.width, self.batch)
        first = kernels.linear(self.device, shape.in_channels, hidden, self.batch)
        return pooled + first + kernels.linear(self.device, hidden, groups, self.batch)
