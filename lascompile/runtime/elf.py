"""Whether a shared library is as long as it says: a page that the loader maps and the file lacks ends the process."""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = struct.Struct("<4sBB10xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_MAGIC, _64_BIT, _LITTLE_ENDIAN, _SHARED = b"\x7fELF", 2, 1, 3
_LOAD = 1


def check_library(path: Path) -> None:
    """Check the headers of the shared library `path` against its size.

    Raises:
        ValueError: It is none, or cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise ValueError("it is no shared library")
        magic, bits, order, kind, *rest = _HEADER.unpack(header)
        if (magic, bits, order, kind) != (_MAGIC, _64_BIT, _LITTLE_ENDIAN, _SHARED):
            raise ValueError("it is no shared library")
        _, _, _, start, _, _, _, entry_bytes, count, _, _, _ = rest
        if entry_bytes != _SEGMENT.size or start + count * entry_bytes > size:
            raise ValueError(f"it is cut off: it has {size} bytes")
        file.seek(start)
        for kind, _, offset, _, _, in_file, in_memory, _ in _SEGMENT.iter_unpack(file.read(count * entry_bytes)):
            if kind == _LOAD and (offset + in_file > size or in_file > in_memory):
                raise ValueError(f"it is cut off: it has {size} bytes")
