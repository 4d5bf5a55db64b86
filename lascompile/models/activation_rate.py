"""Set maskers so that each block is active at a wanted rate, on masks that follow the image.

Weights, where none were trained: a ridge regression from the block's pooled input to a mixture of image cues.
Biases: the quantile of the logits that leaves the wanted share above it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lascompile.models.cues import image_cues, mixture
from lascompile.models.masker import SpatialMasker
from lascompile.models.resnet import ResNet

RIDGE = 0.1
"""Penalty of the regression over the features' mean variance: few images must not be learnt by heart."""
ALWAYS_ON = 1e4
"""Bias at rate 1, for logits of deviation about 1: no image of finite pixels comes near it."""


@torch.no_grad()
def calibrate_activation_rate(
    model: ResNet, images: Tensor, rate: float, seed: int, *, keep_weights: bool = False
) -> dict[str, float]:
    """Set every masker so that about the share `rate` of its patches is active on the images.

    Blocks are done one after the other, in forward order: each mask changes the inputs of all later ones.
    How close a rate comes is bounded by the number of patches: N images of one patch each give steps of 1/N.
    Returns the rates reached, as `measure_activation_rates` would.

    Args:
        model: in eval mode, its batch norms calibrated or loaded.
        images: [N, 3, H, W].
        rate: wanted activation rate, in (0, 1]; at 1 every mask is on whatever the image.
        seed: of the mixtures of cues that the maskers look for.
        keep_weights: change the biases only, as for trained maskers.
    """
    generator = torch.Generator()
    generator.manual_seed(seed)
    cues = image_cues(images)
    rates = {}
    x = model.stem(images)
    for name, block in model.blocks():
        if block.masker is not None:
            pooled = block.masker.pool(x)
            if not keep_weights:
                targets = [mixture(cues, block.masker.mask_size, generator) for _ in range(block.masker.groups)]
                _set_direction(block.masker, _regress(pooled, torch.stack(targets, dim=1)))
            _set_rate(block.masker, pooled, rate)
            rates[name] = block.masker(x).mean().item()
        x = block(x)
    return rates


@torch.no_grad()
def measure_activation_rates(model: ResNet, images: Tensor) -> dict[str, float]:
    """Share of active positions, by the block's name, over images [N, 3, H, W] and all groups of channels."""
    rates: dict[str, float] = {}
    names: dict[nn.Module, str] = {masker: name for name, masker in model.maskers()}

    def record(masker: nn.Module, inputs: tuple[Tensor, ...], mask: Tensor) -> None:
        rates[names[masker]] = mask.mean().item()

    handles = [masker.register_forward_hook(record) for masker in names]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return rates


def _regress(pooled: Tensor, targets: Tensor) -> Tensor:
    """Pooled [N, C, h, w], targets [N, g, h, w] → weights [g, C] that predict them, up to scale."""
    features, wanted = _samples(pooled), _samples(targets)
    features = features - features.mean(0)
    covariance = features.T @ features / len(features)
    penalty = RIDGE * covariance.diagonal().mean().clamp_min(1e-12)
    covariance.diagonal().add_(penalty)
    weights = torch.linalg.solve(covariance, features.T @ wanted / len(features)).T
    # Logits of deviation 1 give margins a meaning: 0.001 is close.
    deviation = (features @ weights.T).std(dim=0, correction=0)
    return weights / deviation.clamp_min(1e-12)[:, None]


def _set_direction(masker: SpatialMasker, weights: Tensor) -> None:
    """Make weights [g, C] the difference of the logits for "on" and for "off"."""
    masker.conv2.weight.copy_(torch.cat([weights, -weights])[:, :, None, None] / 2)
    nn.init.zeros_(masker.bias)


def _set_rate(masker: SpatialMasker, pooled: Tensor, rate: float) -> None:
    """Shift the biases so that the share `rate` of pooled [N, C, h, w]'s patches is active in each group."""
    logits = masker.conv2(pooled).unflatten(1, (2, masker.groups))
    margins = _samples(logits[:, 0] - logits[:, 1])
    shift = torch.stack([_shift(margin, rate) for margin in margins.T])
    masker.bias.add_(torch.cat([shift, -shift]) / 2)


def _shift(margins: Tensor, rate: float) -> Tensor:
    """What to add to the margins [n] so that the share `rate` of them is at least 0."""
    if rate == 1:
        return margins.new_tensor(ALWAYS_ON)
    ordered = margins.sort(descending=True).values
    active = min(max(round(rate * len(ordered)), 1), len(ordered) - 1)
    # Half-way between two patches, so that rounding elsewhere cannot flip one of these.
    return -(ordered[active - 1] + ordered[active]) / 2


def _samples(maps: Tensor) -> Tensor:
    """[N, C, h, w] → [N * h * w, C]."""
    return maps.movedim(1, -1).flatten(0, -2)
