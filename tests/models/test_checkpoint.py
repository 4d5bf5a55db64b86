"""Checkpoints of all the forms in use, and what does not fit."""

import pytest
import torch

from lascompile.errors import UsageError
from lascompile.models import create_model, load_checkpoint


def make(name="lasnet_resnet_tiny", seed=0, **settings):
    return create_model(name, input_size=64, seed=seed, **settings)


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("wrap", [dict, lambda state: {"state_dict": state, "epoch": 3}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_round_trip(tmp_path, wrap, prefix):
    source, target = make(seed=1), make(seed=2)
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save(wrap(state), tmp_path / "c.pth")
    assert load_checkpoint(target, tmp_path / "c.pth")
    assert same(source.state_dict(), target.state_dict())


def test_static_weights_leave_the_maskers_alone(tmp_path):
    source, target = make("resnet_tiny", seed=1), make(seed=2)
    before = {key: value.clone() for key, value in target.state_dict().items() if ".masker." in key}
    torch.save(source.state_dict(), tmp_path / "c.pth")
    assert not load_checkpoint(target, tmp_path / "c.pth")
    assert same(source.state_dict(), target.state_dict())
    assert same(before, target.state_dict())


def test_static_model_leaves_out_the_maskers_of_a_file(tmp_path):
    source, target = make(seed=1), make(seed=2, static=True)
    torch.save(source.state_dict(), tmp_path / "c.pth")
    assert load_checkpoint(target, tmp_path / "c.pth")
    assert same(target.state_dict(), source.state_dict())


def test_files_without_batch_counters_load(tmp_path):
    source = make(seed=1)
    state = {k: v for k, v in source.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "c.pth")
    target = make(seed=2)
    load_checkpoint(target, tmp_path / "c.pth")
    assert same(state, target.state_dict())


def test_what_does_not_fit_is_listed_and_counted(tmp_path):
    state = make().state_dict()
    for key in [key for key in state if key.startswith("layer4.1.bn")]:
        del state[key]
    state["head.weight"] = torch.zeros(1)
    state["fc.weight"] = torch.zeros(7, 128)
    torch.save(state, tmp_path / "c.pth")
    model = make(seed=5)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(UsageError) as error:
        load_checkpoint(model, tmp_path / "c.pth")
    message = str(error.value)
    # Three norms of weight, bias, mean and variance; the counters may be missing.
    assert "12 missing: layer4.1.bn1.weight, layer4.1.bn1.bias, layer4.1.bn1.running_mean and 9 more" in message
    assert "1 unexpected: head.weight" in message
    assert "1 wrong shape: fc.weight (7x128, the model has 10x128)" in message
    assert same(before, model.state_dict())


def test_maskers_of_another_group_count_are_named(tmp_path):
    torch.save(make(mask_channel_group=2).state_dict(), tmp_path / "c.pth")
    with pytest.raises(UsageError, match="16 wrong shape: layer1.0.masker.conv2.weight"):
        load_checkpoint(make(), tmp_path / "c.pth")


def write_nothing(path):
    pass


def write_text(path):
    path.write_text("<html>not found</html>")


def write_half(path):
    torch.save(make().state_dict(), path)
    path.write_bytes(path.read_bytes()[:1000])


def write_module(path):
    torch.save(make(), path)


def write_list(path):
    torch.save([torch.zeros(1)], path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_nothing, "c.pth: no such file"),
        (write_text, "not a file of tensors"),
        (write_half, "not a file of tensors"),
        (write_module, "not a file of tensors"),
        (write_list, "holds no state dict, neither bare nor under 'state_dict'"),
    ],
)
def test_files_that_are_no_checkpoints_are_refused(tmp_path, write, message):
    path = tmp_path / "c.pth"
    write(path)
    with pytest.raises(UsageError) as error:
        load_checkpoint(make(), path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_keys_that_are_no_names(tmp_path):
    torch.save({0: torch.zeros(1)}, tmp_path / "c.pt")
    with pytest.raises(UsageError, match="its keys are names, but one is 0; save model.state_dict"):
        load_checkpoint(make(), tmp_path / "c.pt")
