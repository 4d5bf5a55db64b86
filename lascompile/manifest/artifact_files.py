"""The files that lie beside a manifest: there, within the folder, whole, and unaltered."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lascompile.errors import ArtifactError

if TYPE_CHECKING:
    from lascompile.manifest.manifest import Manifest

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def is_plain_name(name: str) -> bool:
    """Whether `name` is that of a file in the folder itself, whatever system reads it."""
    return _PLAIN_NAME.fullmatch(name) is not None


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the files of an artifact with the manifest's checksums.

    Raises:
        ArtifactError: A file is missing, altered, or leads out of the folder.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; build the artifact again")
        if path.resolve().parent != folder.resolve():
            raise ArtifactError(f"{path} is a link that leads out of the artifact; build the artifact again")
        if sha256(path) != expected:
            raise ArtifactError(f"{path} is damaged: its checksum is not the manifest's; build the artifact again")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 22):
            digest.update(chunk)
        return digest.hexdigest()
