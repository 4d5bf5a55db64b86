"""The networks of the zoo as PyTorch modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lascompile.models.architectures import configure
from lascompile.models.initialize import initialize
from lascompile.models.resnet import ResNet


def create_model(
    name: str,
    *,
    granularity: Sequence[int] | None = None,
    input_size: int | tuple[int, int] = 224,
    mask_channel_group: int = 1,
    static: bool = False,
    seed: int = 0,
) -> ResNet:
    """Build a network of the zoo with seeded random weights, in eval mode.

    Args:
        name: a key of `ZOO`.
        granularity: S of each stage or of each block; None: 4, 4, 2, 1.
        input_size: height and width of the images in pixels, or one number for both.
        mask_channel_group: masks of one block.
        static: leave the maskers out; the other weights are those of the masked network of the same seed.
        seed: of the weights.

    Raises:
        UsageError: an unknown name, or a setting that does not fit the network.
    """
    config = configure(
        name, granularity=granularity, input_size=input_size, mask_channel_group=mask_channel_group
    )
    model = ResNet(replace(config, granularity=None) if static else config)
    initialize(model, seed)
    return model.eval()
