"""Read what a model is to run on: NumPy arrays, or an image as the networks of ImageNet take it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lascompile.cli.image_files import Preprocessing, is_image, read_batches
from lascompile.errors import UsageError
from lascompile.manifest import TensorSpec


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
    if is_image(path):
        return read_batches([path], specs, Preprocessing())
    raise UsageError(f"input {path}: unknown ending {ending!r}; give an .npy, .npz, .png or .jpg file")


def _read_npy(path: Path, specs: Sequence[TensorSpec]) -> np.ndarray:
    if len(specs) != 1:
        raise UsageError(f"input {path}: the model takes {len(specs)} inputs ({_names(specs)}); give an .npz file")
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except Exception as error:  # the parser of headers has no type of its own
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
    except Exception as error:
        raise UsageError(f"input {path}: not a NumPy archive ({error}); {how}") from None
    if set(found) != {spec.name for spec in specs}:
        held = ", ".join(found) or "nothing"
        raise UsageError(f"input {path}: holds {held}, but the inputs are {_names(specs)}; {how}")
    return [found[spec.name] for spec in specs]


def _names(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(spec.name for spec in specs)
