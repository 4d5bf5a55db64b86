"""What `run` is given: arrays, images in batches, or nothing, in whose place inputs are generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lascompile.cli.image_files import Preprocessing, images_in, is_image, read_batches
from lascompile.cli.input_files import read_inputs
from lascompile.errors import UsageError
from lascompile.manifest import TensorSpec
from lascompile.sample_inputs import natural_inputs


@dataclass(frozen=True)
class Given:
    """Inputs.

    Attributes:
        batches: The arrays of each call, in the order of the model's inputs.
        source: Where they come from, in words.
        names: Of the images, if they are several files.
    """

    batches: list[list[np.ndarray]]
    source: str
    names: tuple[str, ...] = ()


def read_given(paths: Sequence[Path] | None, specs: Sequence[TensorSpec], how: Preprocessing, seed: int) -> Given:
    """What `paths` hold; made from `seed` if there are none.

    Raises:
        UsageError: A file cannot be read or is not what the model takes; arrays among several files; options for
            images without an image.
    """
    files = [file for path in paths or () for file in (images_in(path) if path.is_dir() else [path])]
    if how != Preprocessing() and not (files and all(map(is_image, files))):
        raise UsageError("--mean, --std and --resize are for images; give some with --input")
    if not files:
        return Given([natural_inputs(specs, seed)], f"a generated input (seed {seed})")
    if len(files) == 1 and not is_image(files[0]):
        return Given([read_inputs(files[0], specs)], str(files[0]))
    odd = next((file for file in files if not (file.is_file() and is_image(file))), None)
    if odd is not None:
        why = "no image; several files may be images alone" if odd.is_file() else "no such file"
        raise UsageError(f"input {odd}: {why}")
    batches = [[batch] for batch in read_batches(files, specs, how)]
    if len(files) == 1:
        return Given(batches, str(files[0]))
    return Given(batches, f"{len(files)} images", tuple(file.name for file in files))
