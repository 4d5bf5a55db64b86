"""One line of a journal: `{"sum":"<16 hex digits>","data":{…}}`, JSON for any reader, its data checked by its sum."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_LINE = re.compile(rb'\{"sum":"([0-9a-f]{16})","data":(\{.*\})\}', re.DOTALL)


def to_payload(data: Mapping[str, Any]) -> bytes:
    """`data` as the JSON text that a line carries; equal mappings in equal order give equal bytes.

    Raises:
        ValueError: A number is not finite, which JSON cannot hold.
        TypeError: A value is of no type of JSON's.
    """
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode("ascii")


def encode_line(payload: bytes) -> bytes:
    """The line that holds `payload`, with its newline."""
    return b'{"sum":"%s","data":%s}\n' % (_sum(payload).encode("ascii"), payload)


def decode_line(line: bytes) -> tuple[bytes, dict[str, Any]]:
    """Payload and data of a line without its newline.

    Raises:
        ValueError: The line is damaged; the message says how.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError('it does not read {"sum":…,"data":…}')
    payload = found[2]
    if _sum(payload) != found[1].decode("ascii"):
        raise ValueError("its checksum does not match")
    try:
        data: dict[str, Any] = json.loads(payload)
    except ValueError:
        raise ValueError("its data is not JSON") from None
    return payload, data


def _sum(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()[:16]
