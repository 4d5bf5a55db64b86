"""ResNets with or without maskers, built from a configuration."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from lascompile.models.blocks import BasicBlock, Bottleneck, ResidualBlock
from lascompile.models.config import ResNetConfig
from lascompile.models.masker import SpatialMasker

_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNet(nn.Module):
    """Images [N, 3, H, W] → logits [N, num_classes]; H and W are those of the configuration."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(3, config.stem_width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.stem_width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        for stage in range(len(config.depths)):
            self.add_module(f"layer{stage + 1}", _make_stage(config, stage))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(config.widths[-1] * config.expansion, config.num_classes)

    def blocks(self) -> Iterator[tuple[str, ResidualBlock]]:
        """Name and module of every block, in forward order."""
        for name in self.config.block_names:
            block = self.get_submodule(name)
            assert isinstance(block, ResidualBlock)
            yield name, block

    def maskers(self) -> Iterator[tuple[str, SpatialMasker]]:
        """Name of the block and its masker, in forward order."""
        for name, block in self.blocks():
            if block.masker is not None:
                yield name, block.masker

    def stem(self, images: Tensor) -> Tensor:
        """Images [N, 3, H, W] → the first block's input [N, stem_width, H/4, W/4]."""
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))

    def forward(self, images: Tensor) -> Tensor:
        """Stem, stages, global pooling, classifier."""
        x = self.stem(images)
        for stage in range(len(self.config.depths)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def _make_stage(config: ResNetConfig, stage: int) -> nn.Sequential:
    """The blocks of one stage; the first halves the map, except in stage 0."""
    first = sum(config.depths[:stage])
    granularity = config.block_granularity[first : first + config.depths[stage]]
    in_channels = config.widths[stage - 1] * config.expansion if stage else config.stem_width
    in_size = config.map_sizes[max(stage - 1, 0)]
    stride = 2 if stage else 1
    blocks = []
    for s in granularity:
        masker = None
        if s is not None:
            out_size = config.map_sizes[stage]
            masker = SpatialMasker(in_channels, config.mask_channel_group, s, in_size, out_size)
        blocks.append(_BLOCKS[config.block](in_channels, config.widths[stage], stride, masker, config.groups))
        in_channels, in_size, stride = config.widths[stage] * config.expansion, config.map_sizes[stage], 1
    return nn.Sequential(*blocks)
