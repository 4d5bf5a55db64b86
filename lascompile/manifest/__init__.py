"""The manifest of an artifact: read as a whole or refused, with one error, before a byte of the other files is used."""

from lascompile.manifest.artifact_files import check_files, sha256
from lascompile.manifest.consistent import check_stored
from lascompile.manifest.layout import ALIGNMENT, CONSTANTS_NAME, MANIFEST_NAME
from lascompile.manifest.manifest import (
    SCHEMA,
    Manifest,
    MaskSpec,
    StepSpec,
    StoredTensor,
    TensorSpec,
    ViewSpec,
)
from lascompile.manifest.seal import sealed

__all__ = [
    "ALIGNMENT",
    "CONSTANTS_NAME",
    "MANIFEST_NAME",
    "SCHEMA",
    "Manifest",
    "MaskSpec",
    "StepSpec",
    "StoredTensor",
    "TensorSpec",
    "ViewSpec",
    "check_files",
    "check_stored",
    "sealed",
    "sha256",
]
