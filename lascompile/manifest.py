"""The manifest of an artifact: what it is, what it was built from and for, and how to call its library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lascompile.errors import ArtifactError

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
CONSTANTS_NAME = "constants.bin"


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
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    block: str
    granularity: tuple[int, int]
    size: tuple[int, int]
    workspace: int


@dataclass(frozen=True)
class StepSpec:
    """One kernel call: its name, the ONNX node and block it serves, its part in the block, and its count of rows.

    Attributes:
        label: What the kernel does.
        node: The ONNX node.
        block: The block, or empty.
        part: "masker", "lists", "conv", "scatter" or "other".
        forced: True if the step also runs when the decisions are given.
        rows: Rows if all pixels are active; 0 if the kernel is not dynamic.
        count: Position of the count among the workspace tensors, if the kernel is dynamic.
    """

    label: str
    node: str
    block: str
    part: str
    forced: bool
    rows: int = 0
    count: int | None = None


@dataclass(frozen=True)
class Manifest:
    """See the fields; written as JSON beside the library.

    `library` is the library's file name, which holds a part of its checksum: the system's loader takes two libraries of
    one path for the same, so that a process that built and loaded a model twice would run the first one.
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
    schema: int = SCHEMA

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Read the manifest of the artifact `folder`.

        Raises:
            ArtifactError: There is none, it is damaged, or another version of lascompile wrote it.
        """
        path = folder / MANIFEST_NAME
        if not path.is_file():
            raise ArtifactError(f"{folder} is not an artifact: it has no {MANIFEST_NAME}; make one with lascompile build")
        try:
            stored = json.loads(path.read_text())
            schema = stored["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{path} is damaged ({error}); build the artifact again") from None
        if schema != SCHEMA:
            raise ArtifactError(
                f"{folder} has manifest schema {schema}, this version reads {SCHEMA}; build the artifact again"
            )
        try:
            return _from_dict(stored)
        except (KeyError, TypeError) as error:
            raise ArtifactError(f"{path} is damaged (field {error}); build the artifact again") from None


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


def _from_dict(stored: dict[str, Any]) -> Manifest:
    values = {entry.name: stored[entry.name] for entry in fields(Manifest)}
    for name, kind in _NESTED.items():
        values[name] = tuple(_spec(kind, item) for item in values[name])
    return Manifest(**values)


def _spec(kind: type, item: dict[str, Any]) -> Any:  # noqa: ANN401 - one of the specs above
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in item.items()})


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 22):
            digest.update(chunk)
        return digest.hexdigest()


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files of an artifact with the manifest's checksums.

    Raises:
        ArtifactError: A file is missing or altered.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; build the artifact again")
        if sha256(path) != expected:
            raise ArtifactError(f"{path} is damaged: its checksum is not the manifest's; build the artifact again")
