"""The masker and the masked blocks against plain loops written from the paper's description."""

import math

import numpy as np
import pytest
import torch

from lascompile.models.blocks import BasicBlock, Bottleneck
from lascompile.models.config import mask_size
from lascompile.models.masker import SpatialMasker, apply_mask


def reference_mask(x, weight, bias, groups, granularity, out_size):
    """Mask [N, g, h, w] of 0 and 1; one patch, one pixel, one group after the other."""
    height, width = (max(1, n // granularity) for n in out_size)
    in_height, in_width = x.shape[2:]
    mask = np.zeros((len(x), groups, *out_size), np.float32)
    for y in range(out_size[0]):
        for z in range(out_size[1]):
            i, j = y * height // out_size[0], z * width // out_size[1]
            top, bottom = i * in_height // height, math.ceil((i + 1) * in_height / height)
            left, right = j * in_width // width, math.ceil((j + 1) * in_width / width)
            pooled = x[:, :, top:bottom, left:right].mean(axis=(2, 3))
            logits = pooled @ weight[:, :, 0, 0].T + bias
            mask[:, :, y, z] = logits[:, :groups] >= logits[:, groups:]
    return mask


def make_masker(groups, granularity, in_size, out_size, channels=5):
    torch.manual_seed(0)
    masker = SpatialMasker(channels, groups, granularity, in_size, out_size).eval()
    torch.nn.init.normal_(masker.bias, std=0.01)
    return masker


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(
    ("granularity", "in_size", "out_size"),
    [
        (1, (6, 6), (6, 6)),
        (2, (6, 6), (6, 6)),
        (6, (6, 6), (6, 6)),
        (3, (7, 7), (7, 7)),
        (4, (13, 10), (13, 10)),
        (1, (12, 8), (6, 4)),
        (2, (12, 8), (6, 4)),
        (3, (13, 9), (7, 5)),
        (8, (5, 8), (5, 8)),
        (2, (1, 6), (1, 6)),
    ],
)
def test_mask_is_that_of_plain_loops(groups, granularity, in_size, out_size):
    masker = make_masker(groups, granularity, in_size, out_size)
    x = torch.randn(12, 5, *in_size)
    with torch.no_grad():
        mask = masker(x)
    expected = reference_mask(
        x.numpy(),
        masker.conv2.weight.detach().numpy(),
        masker.bias.detach().numpy(),
        groups,
        granularity,
        out_size,
    )
    np.testing.assert_array_equal(mask.numpy(), expected)
    assert 0 < expected.mean() < 1


def test_a_tie_is_active():
    masker = make_masker(1, 1, (2, 2), (2, 2))
    torch.nn.init.zeros_(masker.conv2.weight)
    torch.nn.init.zeros_(masker.bias)
    assert masker(torch.randn(1, 5, 2, 2)).min() == 1


def test_an_untrained_masker_keeps_every_patch():
    masker = SpatialMasker(64, 2, 1, (4, 4), (4, 4)).eval()
    assert masker(torch.rand(2, 64, 4, 4)).min() == 1


def test_training_draws_zeros_and_ones_with_a_gradient():
    masker = make_masker(2, 2, (8, 8), (8, 8)).train()
    masker.temperature = 0.5
    mask = masker(torch.randn(4, 5, 8, 8))
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    mask.sum().backward()
    assert masker.conv2.weight.grad is not None
    assert masker.conv2.weight.grad.abs().max() > 0


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_mask_k_is_for_the_kth_run_of_channels(groups):
    x = torch.randn(2, 6, 4, 3)
    mask = (torch.rand(2, groups, 4, 3) > 0.5).float()
    expected = torch.stack([x[:, c] * mask[:, c * groups // 6] for c in range(6)], dim=1)
    torch.testing.assert_close(apply_mask(x, mask), expected, rtol=0, atol=0)


@pytest.mark.parametrize("block_type", [BasicBlock, Bottleneck])
@pytest.mark.parametrize(("stride", "in_channels"), [(1, 8), (1, 12), (2, 12)])
@pytest.mark.parametrize("groups", [1, 2])
def test_block_adds_the_masked_branch_to_the_identity(block_type, stride, in_channels, groups):
    torch.manual_seed(1)
    out_size = (6 // stride, 8 // stride)
    masker = make_masker(groups, 2, (6, 8), out_size, in_channels)
    block = block_type(in_channels, 8 // block_type.expansion, stride, masker).eval()
    x = torch.randn(8, in_channels, 6, 8)
    with torch.no_grad():
        mask = masker(x).repeat_interleave(8 // groups, dim=1)
        identity = x if in_channels == 8 and stride == 1 else block.downsample(x)
        expected = torch.relu(identity + block.branch(x) * mask)
        torch.testing.assert_close(block(x), expected, rtol=0, atol=0)
    assert 0 < mask.mean() < 1


@pytest.mark.parametrize(
    ("size", "granularity", "expected"),
    [((56, 56), 4, (14, 14)), ((7, 7), 7, (1, 1)), ((50, 84), 7, (7, 12)), ((7, 10), 10, (1, 1))],
)
def test_mask_size(size, granularity, expected):
    assert mask_size(size, granularity) == expected
