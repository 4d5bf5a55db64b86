"""A checksum of a manifest within it, so that no part of it can change unnoticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_CHECKSUM = "checksum"


def sealed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """`stored` with the checksum of all its other fields."""
    rest = {name: value for name, value in stored.items() if name != _CHECKSUM}
    # However it is laid out, and whether by tuples or lists.
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {**rest, _CHECKSUM: hashlib.sha256(text.encode()).hexdigest()}


def unsealed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `stored` without the checksum.

    Raises:
        ValueError: It is missing, or that of something else.
    """
    if _CHECKSUM not in stored:
        raise ValueError(f"field {_CHECKSUM!r} is missing")
    if sealed(stored)[_CHECKSUM] != stored[_CHECKSUM]:
        raise ValueError("its checksum is not that of what it says")
    return {name: value for name, value in stored.items() if name != _CHECKSUM}
