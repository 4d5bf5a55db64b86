"""Read what a model is to run on: NumPy arrays, or an image as the networks of ImageNet take it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lascompile.errors import UsageError
from lascompile.manifest import TensorSpec
from lascompile.models.images import normalize

_CROP = 224 / 256
"""Share of the resized image that the crop keeps, as in the evaluation of ResNets on ImageNet."""


def read_inputs(path: Path, specs: Sequence[TensorSpec]) -> list[np.ndarray]:
    """The arrays in the file `path`, one for each of `specs`; their shapes are left for the artifact to check.

    A `.npy` file holds the only input, a `.npz` file each input under its name. An image (`.png`, `.jpg` and whatever
    else pillow opens) is resized, centre-cropped, normalised by ImageNet's mean and deviation, and repeated to fill a
    batch.

    Raises:
        UsageError: No such file, of an ending that says nothing, not readable as what its ending says, or not what
            the model takes.
    """
    if path.is_dir():
        raise UsageError(f"input {path}: is a folder; give an .npy, .npz, .png or .jpg file")
    if not path.is_file():
        raise UsageError(f"input {path}: no such file; give an .npy, .npz, .png or .jpg file")
    ending = path.suffix.lower()
    if ending == ".npy":
        return [_read_npy(path, specs)]
    if ending == ".npz":
        return _read_npz(path, specs)
    if ending in _image_endings():
        return [_read_image(path, _image_shape(path, specs))]
    raise UsageError(f"input {path}: unknown ending {ending!r}; give an .npy, .npz, .png or .jpg file")


def _read_npy(path: Path, specs: Sequence[TensorSpec]) -> np.ndarray:
    if len(specs) != 1:
        raise UsageError(f"input {path}: the model takes {len(specs)} inputs ({_names(specs)}); give an .npz file")
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        # What NumPy says of pickled data is advice to load it all the same.
        why = "it holds Python objects, or is not of this format" if "allow_pickle" in str(error) else error
        raise UsageError(f"input {path}: not a NumPy array ({why}); write it with numpy.save") from None
    if not isinstance(array, np.ndarray):
        raise UsageError(f"input {path}: holds several arrays; give it the ending .npz")
    return array


def _read_npz(path: Path, specs: Sequence[TensorSpec]) -> list[np.ndarray]:
    how = f"write it with numpy.savez({path.name!r}, **{{{', '.join(f'{spec.name!r}: …' for spec in specs)}}})"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, AttributeError, TypeError, BadZipFile) as error:
        raise UsageError(f"input {path}: not a NumPy archive ({error}); {how}") from None
    if set(found) != {spec.name for spec in specs}:
        held = ", ".join(found) or "nothing"
        raise UsageError(f"input {path}: holds {held}, but the inputs are {_names(specs)}; {how}")
    return [found[spec.name] for spec in specs]


def _image_endings() -> set[str]:
    Image.init()
    return {ending for ending, name in Image.registered_extensions().items() if name in Image.OPEN}


def _image_shape(path: Path, specs: Sequence[TensorSpec]) -> tuple[int, int, int]:
    """Batch, height and width of the model's images."""
    spec = specs[0]
    if len(specs) == 1 and spec.dtype == "float32" and len(spec.shape) == 4 and spec.shape[1] == 3:
        return spec.shape[0], spec.shape[2], spec.shape[3]
    takes = "; ".join(f"{spec.name!r} [{', '.join(map(str, spec.shape))}] {spec.dtype}" for spec in specs)
    raise UsageError(
        f"input {path}: an image needs a model of one input [N, 3, H, W] float32, but this one takes {takes}; "
        "give an .npy or .npz file"
    )


def _read_image(path: Path, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """The image as [N, 3, H, W], the same for each N."""
    batch, height, width = shape
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"input {path}: cannot be read as an image ({error})") from None
    # The largest centred box of the wanted proportions, less the margin: resize and crop in one step.
    fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BILINEAR, bleed=(1 - _CROP) / 2)
    return np.repeat(normalize(np.asarray(fitted)[None]), batch, axis=0)


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(spec.name for spec in specs)
