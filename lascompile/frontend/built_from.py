"""The ONNX file that an artifact was built from, for whoever wants to compare the two."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from lascompile.errors import UsageError
from lascompile.frontend.load import load_model
from lascompile.manifest import Manifest, sha256


def load_built_from(manifest: Manifest, path: str | Path) -> ir.Model:
    """Read `path` with the input shapes of the artifact whose manifest is given.

    Raises:
        UsageError: The file is missing, or is not the one that the artifact was built from.
        UnsupportedModelError: See `load_model`.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give the ONNX file that the artifact was built from")
    built_from, found = manifest.onnx["sha256"], sha256(path)
    if found != built_from:
        raise UsageError(
            f"{path} is not the file that the artifact was built from ({manifest.onnx['name']}): its "
            f"SHA-256 is {found[:12]}…, not {built_from[:12]}…; give that file, or build the artifact again"
        )
    return load_model(path, {spec.name: spec.shape for spec in manifest.inputs})
