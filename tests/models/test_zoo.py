"""Names, shapes and configurations of the zoo."""

import itertools
import subprocess
import sys

import pytest
import torch

from lascompile.errors import UsageError
from lascompile.models import ResNet, ResNetConfig, create_model

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_resnet50_keys():
    """The 320 keys of torchvision's resnet50, in order."""
    keys = ["conv1.weight", *(f"bn1.{part}" for part in NORM)]
    for stage, depth in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for i in range(depth):
            block = f"layer{stage}.{i}"
            for k in (1, 2, 3):
                keys += [f"{block}.conv{k}.weight", *(f"{block}.bn{k}.{part}" for part in NORM)]
            if i == 0:
                keys += [f"{block}.downsample.0.weight", *(f"{block}.downsample.1.{part}" for part in NORM)]
    return [*keys, "fc.weight", "fc.bias"]


@pytest.fixture(scope="module")
def resnet50():
    return create_model("lasnet_resnet50", input_size=64)


def test_static_keys_and_shapes_are_torchvisions(resnet50):
    state = {key: value for key, value in resnet50.state_dict().items() if ".masker." not in key}
    assert sorted(state) == sorted(torchvision_resnet50_keys())
    assert len(state) == 320
    assert sum(p.numel() for name, p in resnet50.named_parameters() if ".masker." not in name) == 25_557_032
    assert state["layer3.0.conv2.weight"].shape == (256, 256, 3, 3)
    assert state["layer4.0.downsample.0.weight"].shape == (2048, 1024, 1, 1)


def test_masker_keys_are_the_authors(resnet50):
    blocks = [f"layer{stage}.{i}" for stage, depth in ((1, 3), (2, 4), (3, 6), (4, 3)) for i in range(depth)]
    expected = [f"{block}.masker.conv2.{part}" for block, part in itertools.product(blocks, ("weight", "bias"))]
    assert sorted(key for key in resnet50.state_dict() if ".masker." in key) == sorted(expected)
    assert resnet50.state_dict()["layer2.0.masker.conv2.weight"].shape == (2, 256, 1, 1)


def test_resnet50_gives_logits_at_another_size(resnet50):
    with torch.no_grad():
        assert resnet50(torch.randn(2, 3, 64, 64)).shape == (2, 1000)


def test_resnet101_and_18_have_the_papers_blocks():
    with torch.device("meta"):
        assert sum(p.numel() for p in create_model("resnet101").parameters()) == 44_549_160
        assert sum(p.numel() for p in create_model("resnet18").parameters()) == 11_689_512


def test_static_counterpart_has_the_same_weights():
    masked = create_model("lasnet_resnet_tiny", input_size=64, seed=3)
    counterparts = (
        create_model("lasnet_resnet_tiny", input_size=64, seed=3, static=True),
        create_model("resnet_tiny", input_size=64, seed=3),
    )
    for static in counterparts:
        assert not list(static.maskers())
        for key, value in static.state_dict().items():
            torch.testing.assert_close(masked.state_dict()[key], value, rtol=0, atol=0)
    other = create_model("resnet_tiny", input_size=64, seed=4)
    assert not torch.equal(other.conv1.weight, masked.conv1.weight)


def test_granularity_by_stage_and_by_block():
    by_stage = create_model("lasnet_resnet_tiny", granularity=(4, 4, 2, 1), input_size=64)
    assert [masker.granularity for _, masker in by_stage.maskers()] == [4, 4, 4, 4, 2, 2, 1, 1]
    by_block = create_model("lasnet_resnet_tiny", granularity=(1, 2, 3, 4, 2, 4, 1, 2), input_size=64)
    assert [masker.granularity for _, masker in by_block.maskers()] == [1, 2, 3, 4, 2, 4, 1, 2]


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (100, 36)])
def test_map_sizes_are_what_the_layers_give(size):
    model = create_model("lasnet_resnet_tiny", granularity=(1, 1, 1, 1), input_size=size)
    x = model.stem(torch.zeros(1, 3, *size))
    for stage, expected in enumerate(model.config.map_sizes):
        x = model.get_submodule(f"layer{stage + 1}")(x)
        assert tuple(x.shape[2:]) == expected


def test_groups_make_a_grouped_convolution():
    config = ResNetConfig("bottleneck", depths=(1,), widths=(8,), stem_width=8, groups=4, input_size=(32, 32))
    assert config.block_names == ("layer1.0",)
    assert create_model("resnet_tiny").config.groups == 1
    assert ResNet(config).get_submodule("layer1.0.conv2").weight.shape == (8, 2, 3, 3)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vgg", {}, "unknown architecture 'vgg': the zoo has lasnet_resnet18, "),
        ("resnet50", {"granularity": (4, 4, 2, 1)}, "use lasnet_resnet50"),
        ("lasnet_resnet50", {"granularity": (4, 4, 2)}, "3 numbers: give 4, one a stage, or 16, one a block"),
        (
            "lasnet_resnet50",
            {"granularity": (4, 0, 2, 1)},
            "granularity 0 of block layer2.0: must be from 1 to 28",
        ),
        ("lasnet_resnet50", {"granularity": (57, 4, 2, 1)}, "feature map is 56x56 for images of 224x224"),
        ("lasnet_resnet50", {"input_size": (0, 224)}, "input size 0x224: height and width must be positive"),
        ("lasnet_resnet50", {"mask_channel_group": 0}, "mask channel group 0: must be at least 1"),
        ("lasnet_resnet50", {"mask_channel_group": 3}, "3 does not divide the 256 channels of layer1"),
        ("lasnet_resnet50", {"granularity": (57, 4, 2, 1), "static": True}, "must be from 1 to 56"),
    ],
)
def test_settings_that_do_not_fit_are_refused(name, settings, message):
    with pytest.raises(UsageError) as error:
        create_model(name, **settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_widths_and_depths_must_agree():
    with pytest.raises(UsageError, match="1 widths for 2 stages"):
        ResNetConfig("basic", depths=(1, 1), widths=(8,))


def test_images_need_no_torch():
    code = (
        "import sys; from lascompile.models import natural_images; import lascompile.models.photos;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
