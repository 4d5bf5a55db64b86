"""Whether the parts of a manifest agree: places, sizes, alignment and element types, before a byte is mapped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lascompile.manifest.artifact_files import is_plain_name
from lascompile.manifest.layout import ALIGNMENT, CONSTANTS_NAME, ITEM_BYTES

if TYPE_CHECKING:
    from lascompile.manifest.manifest import Manifest, MaskSpec, StepSpec, StoredTensor, TensorSpec, ViewSpec

_Tensor = TypeVar("_Tensor")

_MOST_BYTES = 2**47
"""What a process can address: a tensor of more is none."""


def check_consistent(manifest: Manifest) -> None:
    """Check what one field says against the others.

    Raises:
        ValueError: They do not agree; the message names the field.
    """
    _check_file_names(manifest)
    _check_target(manifest.target)
    if manifest.threads < 1:
        raise ValueError("threads is 0")
    for kind in ("inputs", "outputs", "constants", "workspace"):
        for tensor in getattr(manifest, kind):
            _bytes_of(kind, tensor)
    for kind in ("inputs", "outputs", "masks"):
        _check_names_differ(kind, [spec.name for spec in getattr(manifest, kind)])
    _check_views("input_views", manifest.input_views, manifest.inputs)
    _check_views("output_views", manifest.output_views, manifest.outputs)
    if not manifest.workspace_bytes < _MOST_BYTES:
        raise ValueError(f"workspace_bytes is {manifest.workspace_bytes}")
    check_stored("workspace", manifest.workspace, manifest.workspace_bytes)
    check_stored("constants", manifest.constants, _MOST_BYTES)
    for mask in manifest.masks:
        _check_mask(manifest, mask)
    for step in manifest.steps:
        _check_step(manifest, step)


def check_stored(kind: str, tensors: Sequence[StoredTensor], nbytes: int) -> None:
    """Check that `tensors` lie in a block of `nbytes`, each where vector instructions want it.

    Raises:
        ValueError: One does not.
    """
    for position, tensor in enumerate(tensors):
        if tensor.offset % ALIGNMENT or tensor.offset + _bytes_of(kind, tensor) > nbytes:
            raise ValueError(f"{kind}[{position}] lies at byte {tensor.offset} of {nbytes}")


def _check_file_names(manifest: Manifest) -> None:
    needed = {manifest.library, CONSTANTS_NAME}
    for name in sorted(needed | manifest.files.keys()):
        if not is_plain_name(name):
            raise ValueError(f"{name!r} is no name of a file in the folder")
    if needed != manifest.files.keys():
        wrong = sorted(needed ^ manifest.files.keys())[0]
        raise ValueError(f"no checksum of {wrong}" if wrong in needed else f"{wrong} is no file of an artifact")


def _bytes_of(kind: str, tensor: TensorSpec | StoredTensor) -> int:
    if tensor.dtype not in ITEM_BYTES:
        raise ValueError(f"{kind}: unknown element type {tensor.dtype!r}")
    nbytes = math.prod(tensor.shape) * ITEM_BYTES[tensor.dtype]
    if nbytes >= _MOST_BYTES:
        raise ValueError(f"{kind}: a tensor of {nbytes} bytes")
    return nbytes


def _check_names_differ(kind: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two of {kind} have one name")


def _check_views(kind: str, views: Sequence[ViewSpec], owners: Sequence[TensorSpec]) -> None:
    for view in views:
        shown = _at(kind, owners, view.position)
        if math.prod(view.shape) != math.prod(shown.shape):
            raise ValueError(f"{kind}: {list(view.shape)} is no shape of {shown.name!r}")


def _check_mask(manifest: Manifest, mask: MaskSpec) -> None:
    stored = _at("workspace", manifest.workspace, mask.workspace)
    if (math.prod(stored.shape), stored.dtype) != (math.prod(mask.shape), mask.dtype):
        raise ValueError(f"mask {mask.name!r} is not what stands in the workspace")
    index = _at("constants", manifest.constants, mask.index)
    pixels = math.prod(mask.size)
    if index.dtype != "int32" or len(index.shape) != 2 or not pixels or index.shape[1] % pixels:
        raise ValueError(f"mask {mask.name!r} has no index of its pixels")
    if 0 in mask.granularity:
        raise ValueError(f"mask {mask.name!r} has patches of no pixels")


def _check_step(manifest: Manifest, step: StepSpec) -> None:
    if step.count is None:
        return
    if not step.rows:
        raise ValueError(f"step {step.label!r} has a count of no rows")
    if _at("workspace", manifest.workspace, step.count).dtype != "int32":
        raise ValueError(f"the count of step {step.label!r} is no int32")


def _check_target(target: Mapping[str, Any]) -> None:
    features = target.get("features", [])
    if not isinstance(features, list) or not all(isinstance(feature, str) for feature in features):
        raise ValueError("target: features are no list of names")
    for name in ("kind", "mtriple", "mcpu"):
        if not isinstance(target.get(name, ""), str):
            raise ValueError(f"target: {name} is no text")


def _at(kind: str, items: Sequence[_Tensor], position: int) -> _Tensor:
    if position >= len(items):
        raise ValueError(f"{kind}: there is no position {position}")
    return items[position]
