"""What a manifest says of an artifact: what it is, what it was built from and for, and how to call its library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lascompile.errors import ArtifactError
from lascompile.files import lost_folder
from lascompile.manifest.consistent import check_consistent
from lascompile.manifest.layout import MANIFEST_NAME
from lascompile.manifest.seal import sealed, unsealed

SCHEMA = 3


@dataclass(frozen=True)
class TensorSpec:
    """A tensor that the user passes or gets."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in the file of constants, or in the workspace: its first byte, shape and element type."""

    offset: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class ViewSpec:
    """A parameter of the library's functions: which input or output it shows, and under which shape."""

    position: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class MaskSpec:
    """A mask decision, and where in the workspace it stands.

    Attributes:
        name: The decision's name in the ONNX graph.
        shape: Its shape, one element a patch (and group).
        dtype: Its element type.
        block: The block that it gates.
        granularity: S, height and width of a patch in pixels.
        size: H, W of the gated map.
        workspace: Its position among the workspace tensors.
        index: Position among the constants of [G, N*H*W], the decision's element that each group obeys at each pixel.
        inverted: True if a pixel is active where the decision is 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    block: str
    granularity: tuple[int, int]
    size: tuple[int, int]
    workspace: int
    index: int
    inverted: bool


@dataclass(frozen=True)
class StepSpec:
    """One kernel call: its name, the ONNX node and block it serves, its part in the block, and its count of rows.

    Attributes:
        label: What the kernel does.
        node: The ONNX node.
        block: The block, or empty.
        part: "masker", "lists", "conv", "scatter" or "other".
        forced: True if the step also runs when the decisions are given.
        rows: Rows, or Winograd tiles, if all pixels are active; 0 if the kernel is not dynamic.
        count: Position of the count among the workspace tensors, if the kernel is dynamic.
        algorithm: What computes it, if it is a convolution that there are several ways to compute.
        candidates: These ways, the best first: {"algorithm", "cost", "interval", "source"}, costs in seconds. With
            "record" and "row", the provenance of the record that the decisions come from, and of the latency table's
            row that the cost comes from, with the granularity it was measured under.
    """

    label: str
    node: str
    block: str
    part: str
    forced: bool
    rows: int = 0
    count: int | None = None
    algorithm: str | None = None
    candidates: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Manifest:
    """See the fields; written as JSON beside the library.

    `library` is the library's file name, which holds a part of its checksum: the system's loader takes two libraries of
    one path for the same, so that a process that built and loaded a model twice would run the first one.

    `verification` is what `build --verify` found (`lascompile.verify.outcome.Verification`), or None.
    """

    versions: Mapping[str, str]
    onnx: Mapping[str, str]
    target: Mapping[str, Any]
    threads: int
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    masks: Sequence[MaskSpec]
    blocks: Sequence[Mapping[str, Any]]
    flops: Mapping[str, Any]
    dense_operators: Sequence[str]
    input_views: Sequence[ViewSpec]
    output_views: Sequence[ViewSpec]
    constants: Sequence[StoredTensor]
    workspace: Sequence[StoredTensor]
    workspace_bytes: int
    steps: Sequence[StepSpec]
    library: str
    files: Mapping[str, str] = field(default_factory=dict)
    verification: Mapping[str, Any] | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """As it is stored: with a checksum of all the rest."""
        return json.dumps(sealed(asdict(self)), indent=1)

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Read the manifest of the artifact `folder`.

        Raises:
            ArtifactError: There is none, it is damaged, or another version of lascompile wrote it.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise ArtifactError(f"{folder} is not an artifact: it has no {MANIFEST_NAME}; {_advice(folder)}")
        try:
            stored = json.loads(path.read_bytes())
            schema = stored["schema"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _damaged(path, error) from None
        if schema != SCHEMA:
            raise ArtifactError(
                f"{folder} has manifest schema {schema!r}, this version reads {SCHEMA}; build the artifact again"
            )
        try:
            manifest = _from_dict(unsealed(stored))
            check_consistent(manifest)
        except (ValueError, TypeError) as error:
            raise _damaged(path, error) from None
        return manifest


def _damaged(path: Path, error: Exception) -> ArtifactError:
    return ArtifactError(f"{path} is damaged ({error}); build the artifact again")


def _advice(folder: Path) -> str:
    lost = lost_folder(folder)
    return "make one by lascompile build" if lost is None else f"a build that was killed left it at {lost}: rename that"


_NESTED: dict[str, type] = {
    "inputs": TensorSpec,
    "outputs": TensorSpec,
    "masks": MaskSpec,
    "input_views": ViewSpec,
    "output_views": ViewSpec,
    "constants": StoredTensor,
    "workspace": StoredTensor,
    "steps": StepSpec,
}


_HOLDS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "int": lambda value: type(value) is int and value >= 0,
    "int | None": lambda value: value is None or _HOLDS["int"](value),
    "bool": lambda value: isinstance(value, bool),
    "tuple[int, ...]": lambda value: isinstance(value, list) and all(map(_HOLDS["int"], value)),
    "tuple[int, int]": lambda value: _HOLDS["tuple[int, ...]"](value) and len(value) == 2,
    "Sequence[str]": lambda value: isinstance(value, list) and all(map(_HOLDS["str"], value)),
    "Mapping[str, str]": lambda value: isinstance(value, dict) and all(map(_HOLDS["str"], value.values())),
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
    "Mapping[str, Any] | None": lambda value: value is None or isinstance(value, dict),
}
"""By annotation of a field: whether a value read from JSON fits. Any other field holds a list of objects."""


def _from_dict(stored: Any) -> Manifest:  # noqa: ANN401 - whatever the file holds
    values = _checked(Manifest, stored)
    for name, kind in _NESTED.items():
        values[name] = tuple(_spec(kind, item) for item in values[name])
    return Manifest(**values)


def _spec(kind: type, item: Any) -> Any:  # noqa: ANN401 - one of the specs above
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in _checked(kind, item).items()})


def _checked(kind: type, item: Any) -> dict[str, Any]:  # noqa: ANN401
    """The fields of `item`, if they are those of the dataclass `kind`."""
    if not isinstance(item, dict):
        raise TypeError(f"{kind.__name__} is {type(item).__name__}, not an object")
    expected = {entry.name: str(entry.type) for entry in fields(kind)}
    wrong = sorted(expected.keys() ^ item.keys())
    if wrong:
        raise ValueError(f"field {wrong[0]!r} is {'missing' if wrong[0] in expected else 'unknown'}")
    for name, annotation in expected.items():
        if not _HOLDS.get(annotation, _is_list_of_objects)(item[name]):
            raise TypeError(f"field {name!r} is no {annotation}")
    return dict(item)


def _is_list_of_objects(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
