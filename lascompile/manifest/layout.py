"""Names of an artifact's files, and how tensors lie in them."""

from __future__ import annotations

MANIFEST_NAME = "manifest.json"
CONSTANTS_NAME = "constants.bin"

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector. TVM's code assumes that every tensor starts at such an address, so those
that are stored, in the file of constants or in the workspace, have such offsets."""

ITEM_BYTES = {
    "bool": 1,
    **dict.fromkeys(("int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64"), 8),
}
"""Bytes of an element, by the name of its type."""
