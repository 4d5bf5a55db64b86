"""Random weights as torchvision gives them, but the same for a seed whatever else the network holds."""

from __future__ import annotations

import math

import torch
from torch import nn

from lascompile.models.masker import SpatialMasker
from lascompile.models.resnet import ResNet

BRANCH_GAIN = (0.2, 0.5)
"""Range of the scales of a branch's last batch norm: small enough that 33 branches add up to a finite sum."""


def initialize(model: ResNet, seed: int) -> None:
    """Set all parameters; the static and the masked network of a seed differ in nothing but the maskers.

    Convolutions: He et al. (arXiv 1502.01852), fan out, as in torchvision. Batch norms get scales around 1
    and small shifts, as trained ones have; their statistics come from `batch_norm.calibrate_batch_norm`.
    """
    shared, maskers = torch.Generator(), torch.Generator()
    shared.manual_seed(seed)
    maskers.manual_seed(seed)
    for _, masker in model.maskers():
        masker.reset_parameters(maskers)
    last_norms = {block.last_norm for _, block in model.blocks()}
    for module in _without_maskers(model):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=shared)
        elif isinstance(module, nn.BatchNorm2d):
            low, high = BRANCH_GAIN if module in last_norms else (0.8, 1.2)
            nn.init.uniform_(module.weight, low, high, generator=shared)
            nn.init.normal_(module.bias, std=0.1, generator=shared)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=shared)
            nn.init.uniform_(module.bias, -bound, bound, generator=shared)


def _without_maskers(module: nn.Module) -> list[nn.Module]:
    """The module and all below it, in order, without the maskers and what is in them."""
    children = [child for child in module.children() if not isinstance(child, SpatialMasker)]
    return [module, *(below for child in children for below in _without_maskers(child))]
