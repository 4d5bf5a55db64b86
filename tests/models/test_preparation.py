"""Calibration: activations keep their scale, rates are met, masks are coherent and follow the image."""

import numpy as np
import pytest
import torch
from PIL import Image

from lascompile.errors import UsageError
from lascompile.models import create_model, natural_images, prepare
from lascompile.models.activation_rate import measure_activation_rates
from lascompile.models.batch_norm import all_active
from lascompile.models.images import natural_images_uint8
from lascompile.models.preparation import calibration_images

SIZE = (96, 96)


@pytest.fixture(scope="module")
def images():
    return natural_images(12, SIZE, seed=7)


def make(name="lasnet_resnet_tiny", **settings):
    return create_model(name, input_size=SIZE, **settings)


def masks_of(model, images):
    """Mask [N, g, h, w] of each block."""
    masks = {}
    handles = [
        masker.register_forward_hook(lambda _, __, mask, name=name: masks.update({name: mask.numpy()}))
        for name, masker in model.maskers()
    ]
    with torch.no_grad():
        model(torch.from_numpy(images))
    for handle in handles:
        handle.remove()
    return masks


def edges(mask):
    """Pairs of neighbours that differ, in masks [..., h, w]."""
    return (mask[..., 1:, :] != mask[..., :-1, :]).sum() + (mask[..., 1:] != mask[..., :-1]).sum()


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.7])
def test_every_block_meets_the_rate(images, rate):
    model = make()
    rates = prepare(model, images, activation_rate=rate)
    assert list(rates) == list(model.config.block_names)
    assert all(abs(value - rate) < 0.03 for value in rates.values()), rates
    assert measure_activation_rates(model, torch.from_numpy(images)) == pytest.approx(rates)


@pytest.mark.parametrize(
    "settings",
    [
        {"granularity": (1, 1, 1, 1), "mask_channel_group": 2},
        {"granularity": (24, 12, 6, 3)},
        {"granularity": (5, 5, 4, 2)},
        {"name": "lasnet_resnet18", "granularity": (4, 4, 2, 1)},
    ],
    ids=["groups", "layer skipping", "uneven", "basic blocks"],
)
def test_other_forms_meet_it_as_their_patches_allow(images, settings):
    rates = prepare(make(**settings), images, activation_rate=0.5)
    # Patches at the end of an uneven row are wider, and count for more.
    assert all(abs(value - 0.5) < 0.09 for value in rates.values()), rates


def test_fresh_images_are_active_at_about_the_rate():
    model = create_model("lasnet_resnet_tiny", input_size=SIZE)
    prepare(model, calibration_images(SIZE, seed=0), activation_rate=0.5)
    rates = measure_activation_rates(model, torch.from_numpy(natural_images(48, SIZE, seed=0)))
    assert all(abs(value - 0.5) < 0.15 for value in rates.values()), rates
    assert abs(np.mean(list(rates.values())) - 0.5) < 0.1


def test_masks_are_coherent_and_follow_the_image():
    model = make(granularity=(1, 1, 1, 1))
    prepare(model, natural_images(12, SIZE, seed=7), activation_rate=0.5)
    fresh = natural_images(12, SIZE, seed=8)
    rng = np.random.default_rng(0)
    masks = masks_of(model, fresh)
    # The last stage has 3 x 3 positions: nothing there is far from anything else.
    for name, mask in list(masks.items())[:-2]:
        flat = mask.reshape(len(mask), -1)
        shuffled = rng.permuted(flat, axis=1).reshape(mask.shape)
        assert edges(mask) < 0.8 * edges(shuffled), name
        assert (mask[0] != mask[1]).any(), name
        # Not the same place in every image: no position is nearly always or nearly never active.
        assert 0.02 < (flat.mean(0) * (1 - flat.mean(0))).mean(), name


def test_active_patches_have_more_detail():
    model = make(granularity=(4, 4, 2, 1))
    prepare(model, natural_images(12, SIZE, seed=7), activation_rate=0.5)
    light = natural_images_uint8(12, SIZE, seed=8).astype(np.float32).mean(-1)
    detail = np.abs(np.diff(light, axis=2, prepend=light[:, :, :1]))
    for name, mask in masks_of(model, natural_images(12, SIZE, seed=8)).items():
        where = np.kron(mask[:, 0], np.ones((96 // mask.shape[2], 96 // mask.shape[3]))) > 0
        assert detail[where].mean() > 1.3 * detail[~where].mean(), name


def test_at_rate_one_every_mask_is_on_whatever_the_image(images):
    masked, static = make(), make(static=True)
    rates = prepare(masked, images, activation_rate=1.0)
    assert set(rates.values()) == {1.0}
    assert prepare(static, images) == {}
    for x in (torch.randn(2, 3, *SIZE) * 10, torch.zeros(2, 3, *SIZE), torch.full((2, 3, *SIZE), -9.0)):
        with torch.no_grad():
            torch.testing.assert_close(masked(x), static(x), rtol=0, atol=0)


def test_activations_keep_their_scale_over_many_blocks(images):
    model = make("lasnet_resnet18")
    prepare(model, images, activation_rate=0.5)
    deviations = []
    for _, block in model.blocks():
        block.register_forward_hook(lambda _, __, y: deviations.append(y.std().item()))
    fresh = torch.from_numpy(natural_images(4, SIZE, seed=9))
    with torch.no_grad():
        logits = model(fresh)
    assert len(deviations) == 8
    assert all(0.3 < deviation < 3 for deviation in deviations), deviations
    assert 0.1 < logits.std() < 10


def test_batch_norms_of_the_static_and_the_masked_network_agree(images):
    masked, static = make(), make(static=True)
    prepare(masked, images, activation_rate=0.3)
    prepare(static, images)
    for key, value in static.state_dict().items():
        torch.testing.assert_close(masked.state_dict()[key], value, rtol=0, atol=0)
    assert static.bn1.momentum == 0.1
    assert not static.training
    with torch.no_grad(), all_active(masked):
        x = torch.from_numpy(images)
        torch.testing.assert_close(masked(x), static(x), rtol=0, atol=0)


def test_calibration_is_the_same_for_a_seed(images):
    first, second, third = make(), make(), make()
    prepare(first, images, seed=1)
    prepare(second, images, seed=1)
    prepare(third, images, seed=2)
    for key, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[key], value)
    assert not torch.equal(
        dict(third.maskers())["layer1.0"].conv2.weight, dict(first.maskers())["layer1.0"].conv2.weight
    )


def test_trained_maskers_keep_their_weights(images, tmp_path):
    trained = make(seed=1)
    prepare(trained, images, activation_rate=0.4)
    torch.save(trained.state_dict(), tmp_path / "c.pth")
    kept, shifted = make(seed=2), make(seed=2)
    assert prepare(kept, images, checkpoint=tmp_path / "c.pth")["layer2.0"] == pytest.approx(0.4, abs=0.03)
    rates = prepare(shifted, images, checkpoint=tmp_path / "c.pth", activation_rate=0.8)
    assert all(abs(value - 0.8) < 0.03 for value in rates.values())
    for (_, before), (_, after) in zip(trained.maskers(), shifted.maskers(), strict=True):
        torch.testing.assert_close(after.conv2.weight, before.conv2.weight, rtol=0, atol=0)


def test_untrained_maskers_of_a_static_checkpoint_are_calibrated(images, tmp_path):
    static = make(static=True, seed=1)
    prepare(static, images)
    torch.save(static.state_dict(), tmp_path / "c.pth")
    rates = prepare(make(seed=2), images, checkpoint=tmp_path / "c.pth")
    assert all(abs(value - 0.5) < 0.03 for value in rates.values())


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.01, float("nan")])
def test_rates_out_of_range_are_refused(images, rate):
    with pytest.raises(UsageError, match=r"activation rate .*: must be above 0 and at most 1"):
        prepare(make(), images, activation_rate=rate)


def test_large_images_are_fewer_and_folders_are_read(tmp_path):
    assert calibration_images((32, 48), seed=0).shape == (32, 3, 32, 48)
    assert len(calibration_images((448, 448), seed=0)) == 8
    for i in range(2):
        Image.new("RGB", (40, 40), (i * 90, 0, 0)).save(tmp_path / f"{i}.png")
    assert calibration_images((32, 32), 0, tmp_path).shape == (2, 3, 32, 32)
    (tmp_path / "1.png").unlink()
    with pytest.raises(UsageError, match="has 1 image, calibration needs at least 2"):
        calibration_images((32, 32), 0, tmp_path)
