"""Give the batch norms of a random network the statistics that training would have given them.

Without them every block multiplies the scale of what it is given, and 33 blocks later nothing or infinity is
left; maskers then see the same everywhere, and an error relative to the output says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lascompile.models.masker import SpatialMasker
from lascompile.models.resnet import ResNet


@torch.no_grad()
def calibrate_batch_norm(model: ResNet, images: Tensor) -> None:
    """Set running means and variances to those of the images [N, 3, H, W], N > 1, with every mask on.

    One pass in training mode does it in order: each norm sees what the norms before it have normalised. With
    every mask on, the static network of the same weights gets the same statistics.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momentum = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the passes, of which there is one
        norm.train()
    try:
        with all_active(model):
            model(images)
    finally:
        model.eval()
        for norm, value in zip(norms, momentum, strict=True):
            norm.momentum = value


@contextmanager
def all_active(model: nn.Module) -> Iterator[None]:
    """Within it, every masker of the model answers ones."""

    def ones(masker: nn.Module, inputs: tuple[Tensor, ...], mask: Tensor) -> Tensor:
        return torch.ones_like(mask)

    handles = [module.register_forward_hook(ones) for module in model.modules() if isinstance(module, SpatialMasker)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
