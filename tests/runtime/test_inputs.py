"""What an artifact takes and gives: arrays of every layout, torch tensors, and what it refuses."""

import numpy as np
import pytest
import torch

from lascompile.errors import UsageError
from lascompile.manifest import ALIGNMENT
from lascompile.runtime import artifact as artifact_module
from lascompile.runtime.memory import aligned, aligned_empty


def moved(array, offset):
    """A copy that starts `offset` bytes after an aligned address."""
    block = aligned_empty((array.nbytes + ALIGNMENT,), "uint8")
    view = block[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array):
    copy = moved(array, 0)
    copy.flags.writeable = False
    return copy


LAYOUTS = {
    "aligned": lambda x: moved(x, 0),
    "unaligned": lambda x: moved(x, 4),
    "odd address": lambda x: moved(x, 1),
    "read-only": read_only,
    "channels last": lambda x: moved(x.transpose(0, 2, 3, 1), 0).transpose(0, 3, 1, 2),
    "every second image": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: x[..., ::-1].copy()[..., ::-1],
    "Fortran": np.asfortranarray,
    "other byte order": lambda x: moved(x.astype(x.dtype.newbyteorder()), 0),
    "torch": lambda x: torch.from_numpy(x.copy()),
    "torch, channels last": lambda x: torch.from_numpy(x.copy()).to(memory_format=torch.channels_last),
    "torch, with a gradient": lambda x: torch.from_numpy(x.copy()).requires_grad_(),
    "nested lists of float32": lambda x: [[list(plane) for plane in image] for image in x],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_bits(artifact, image, layout):
    expected = artifact(image)
    given = LAYOUTS[layout](image)
    result = np.asarray(artifact(given))
    assert np.array_equal(result, expected)
    if not isinstance(given, list):
        assert np.array_equal(given.detach() if isinstance(given, torch.Tensor) else given, image)


@pytest.fixture
def addresses(monkeypatch):
    """Where the arrays lie that were handed to the library."""
    seen = []
    real = artifact_module.as_tensor

    def spy(array):
        seen.append(array.ctypes.data)
        return real(array)

    monkeypatch.setattr(artifact_module, "as_tensor", spy)
    return seen


def test_an_aligned_array_is_passed_as_it_is(artifact, image, addresses):
    here = moved(image, 0)
    artifact(here)
    assert here.ctypes.data in addresses


def test_so_is_an_aligned_torch_tensor(artifact, image, addresses):
    here = torch.from_numpy(moved(image, 0)).requires_grad_()
    artifact(here)
    assert here.data_ptr() in addresses


def test_an_unaligned_array_is_not(artifact, image, addresses):
    here = moved(image, 4)
    artifact(here)
    assert here.ctypes.data not in addresses
    assert all(address % ALIGNMENT == 0 for address in addresses)


def test_aligned_copies_only_where_it_must(image):
    here = moved(image, 0)
    assert aligned(here) is here
    for name in ("unaligned", "read-only", "channels last", "other byte order"):
        copy = aligned(LAYOUTS[name](image))
        assert copy.flags.c_contiguous and copy.flags.writeable and copy.dtype.isnative, name
        assert copy.ctypes.data % ALIGNMENT == 0
        assert np.array_equal(copy, image)


def test_numpy_in_numpy_out(artifact, image):
    result = artifact(image)
    assert type(result) is np.ndarray
    assert (result.shape, result.dtype.name) == ((2, 8, 8, 8), "float32")
    assert [type(output) for output in artifact.run(torch.from_numpy(image))] == [np.ndarray]


@pytest.mark.parametrize("gradient", [False, True])
def test_torch_in_torch_out(artifact, image, gradient):
    result = artifact(torch.from_numpy(image).requires_grad_(gradient))
    assert type(result) is torch.Tensor
    assert not result.requires_grad
    assert np.array_equal(result.numpy(), artifact(image))


def test_outputs_of_two_calls_share_nothing(artifact, image):
    first = artifact(image)
    kept = first.copy()
    second = artifact(-image)
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, kept)
    second[...] = 0
    assert np.array_equal(artifact(image), kept)


def test_masks_of_two_calls_share_nothing(artifact, image):
    _, first = artifact.run_with_masks(image)
    kept = {name: mask.copy() for name, mask in first.items()}
    artifact.run_with_masks(-image)
    assert all(np.array_equal(first[name], kept[name]) for name in kept)


X = np.zeros((2, 3, 8, 8), np.float32)
NEEDED = "but the model was built for 2x3x8x8 float32; convert it, or build for its shape"


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ((), r"the model takes 1 inputs \(x\), but 0 were given"),
        ((X, X), r"the model takes 1 inputs \(x\), but 2 were given"),
        ((X[:1],), f"input 'x' is 1x3x8x8 float32, {NEEDED}"),
        ((X[0],), f"input 'x' is 3x8x8 float32, {NEEDED}"),
        ((X.astype(np.float64),), f"input 'x' is 2x3x8x8 float64, {NEEDED}"),
        ((X.astype(np.uint8),), f"input 'x' is 2x3x8x8 uint8, {NEEDED}"),
        ((torch.zeros(2, 3, 8, 8, dtype=torch.float16),), f"input 'x' is 2x3x8x8 float16, {NEEDED}"),
        ((1.0,), f"input 'x' is a scalar float64, {NEEDED}"),
        ((None,), f"input 'x' is a scalar object, {NEEDED}"),
        (([[1.0], [1.0, 2.0]],), r"input 'x' cannot be read as an array \(.*\); convert it to NumPy"),
        (
            (torch.zeros(2, 3, 8, 8, dtype=torch.bfloat16),),
            r"input 'x' cannot be read as an array \(.*\); convert it to NumPy",
        ),
        (
            (torch.zeros(2, 3, 8, 8, device="meta"),),
            r"input 'x' cannot be read as an array \(.*\); convert it to NumPy",
        ),
    ],
)
def test_inputs_that_do_not_fit(artifact, image, inputs, says):
    for call in (artifact, artifact.run, artifact.run_with_masks, artifact.profile):
        with pytest.raises(UsageError, match=f"^{says}$"):
            call(*inputs)
    artifact(image)  # a refused call leaves no lock behind
