"""How much of a map is needed, on average, if every patch is active with the same probability?

A pixel is needed if any of the patches that its reach touches is active: with k patches, with the probability
1 - (1 - r)^k, where each is active with probability r, independently of the others. Masks of real images are
coherent, hence touch fewer patches at their borders: this is the upper end.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from lascompile.analysis.demand import Demand, Footprint, Window
from lascompile.analysis.gates import Mask

# The patches that each pixel of a map [N, H, W] touches: their numbers, ascending, then _NO_PATCH up to K.
_Patches = np.ndarray
_NO_PATCH = np.iinfo(np.int32).max


class Coverage:
    """Expected shares of needed pixels at one activation rate; blocks of one shape are computed once."""

    def __init__(self, activation_rate: float) -> None:
        self.activation_rate = activation_rate
        self._known: dict[object, float] = {}

    def share(self, demand: Demand) -> float:
        """The expected share, 0 to 1, of the pixels of a map that `demand` asks for."""
        if demand.is_everywhere or demand.is_nowhere:
            return float(demand.is_everywhere)
        key = _shape_of(demand)
        if key not in self._known:
            self._known[key] = self._expected_share(demand)
        return self._known[key]

    def _expected_share(self, demand: Demand) -> float:
        """Decisions are independent of each other; footprints of one decision share its patches."""
        by_decision: dict[tuple[ir.Value, bool], list[Footprint]] = defaultdict(list)
        for footprint in demand.footprints:
            by_decision[footprint.mask.decision, footprint.mask.inverted].append(footprint)
        touched = sum(
            _count(_distinct(np.concatenate([_patches(footprint) for footprint in footprints], axis=-1)))
            for footprints in by_decision.values()
        )
        return float(np.mean(1 - (1 - self.activation_rate) ** touched))


def _shape_of(demand: Demand) -> object:
    """What the share depends on: equal for equal blocks of different masks."""
    number: dict[ir.Value, int] = {}
    masks = sorted({footprint.mask for footprint in demand.footprints}, key=lambda mask: mask.name)
    for mask in masks:
        number.setdefault(mask.decision, len(number))
    return frozenset(
        (number[f.mask.decision], f.mask.inverted, f.mask.size, f.mask.patches.tobytes(), f.windows)
        for f in demand.footprints
    )


def _patches(footprint: Footprint) -> _Patches:
    """The patches that switch on each pixel of the map at the end of the footprint, [N, H, W, K]."""
    patches = _own_patches(footprint.mask)
    for window in footprint.windows:
        patches = _through(patches, window)
    return patches


def _own_patches(mask: Mask) -> _Patches:
    """The patch of each group, for every pixel of the masked map."""
    return _distinct(mask.patches.T.reshape(*mask.size, mask.groups))


def _through(patches: _Patches, window: Window) -> _Patches:
    """The patches of all output pixels that read each input pixel."""
    batch, _, _, width = patches.shape
    read = np.full((batch, *window.input_size, window.taps, width), _NO_PATCH, np.int32)
    for tap, (outputs, inputs) in enumerate(window.taps_within()):
        read[:, inputs[0], inputs[1], tap] = patches[:, outputs[0], outputs[1]]
    return _distinct(read.reshape(batch, *window.input_size, -1))


def _distinct(patches: _Patches) -> _Patches:
    """Drop repetitions along the last axis, and what no pixel uses of it."""
    patches = np.sort(patches, axis=-1)
    patches[..., 1:][patches[..., 1:] == patches[..., :-1]] = _NO_PATCH
    patches = np.sort(patches, axis=-1)
    return patches[..., : int(_count(patches).max(initial=1))]


def _count(patches: _Patches) -> np.ndarray:
    """Patches touched by each pixel, [N, H, W]."""
    return (patches != _NO_PATCH).sum(axis=-1)
