"""The architectures by name, without PyTorch.

A row is a column of table 1 of the ResNet paper, or a small network for tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lascompile.errors import UsageError
from lascompile.models.config import ResNetConfig

DEFAULT_GRANULARITY = (4, 4, 2, 1)
"""S of the four stages: the setting that the LASNet paper reports most."""

_STATIC: dict[str, ResNetConfig] = {
    "resnet18": ResNetConfig("basic", depths=(2, 2, 2, 2)),
    "resnet50": ResNetConfig("bottleneck", depths=(3, 4, 6, 3)),
    "resnet101": ResNetConfig("bottleneck", depths=(3, 4, 23, 3)),
    "resnet_tiny": ResNetConfig(
        "bottleneck", depths=(2, 2, 2, 2), widths=(8, 16, 24, 32), stem_width=16, num_classes=10
    ),
}

ZOO: dict[str, ResNetConfig] = {
    **{f"lasnet_{name}": replace(config, granularity=DEFAULT_GRANULARITY) for name, config in _STATIC.items()},
    **_STATIC,
}
"""Every architecture by name; `lasnet_x` is `x` with a masker in every block."""


def configure(
    name: str,
    *,
    granularity: Sequence[int] | None = None,
    input_size: int | tuple[int, int] = 224,
    mask_channel_group: int = 1,
) -> ResNetConfig:
    """The architecture `name` with settings of its own; arguments as for `lascompile.models.create_model`.

    Raises:
        UsageError: an unknown name, or a setting that does not fit the network.
    """
    if name not in ZOO:
        raise UsageError(f"unknown architecture {name!r}: the zoo has {', '.join(ZOO)}")
    config = ZOO[name]
    if granularity is not None and config.granularity is None:
        raise UsageError(f"{name} has no maskers to set a granularity for: use lasnet_{name}")
    return replace(
        config,
        # Checked even for the static counterpart, so that a wrong granularity is not passed over in silence.
        granularity=config.granularity if granularity is None else tuple(granularity),
        input_size=(input_size, input_size) if isinstance(input_size, int) else input_size,
        mask_channel_group=mask_channel_group,
    )
