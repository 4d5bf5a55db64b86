"""Arrays at addresses that vector instructions want, and the tensors that kernels take."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

from lascompile.manifest import StoredTensor
from lascompile.runtime.library import ffi

ALIGNMENT = 64
"""Bytes. TVM's code assumes that every tensor starts at such an address."""


def aligned_empty(shape: Sequence[int], dtype: str) -> np.ndarray:
    """An uninitialised array that starts at an aligned address."""
    nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    block = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + nbytes].view(dtype).reshape(shape)


def aligned(array: np.ndarray) -> np.ndarray:
    """`array` itself if it is contiguous, aligned and writable as DLPack asks; else a copy that is."""
    if array.flags.c_contiguous and array.flags.writeable and array.ctypes.data % ALIGNMENT == 0:
        return array
    copy = aligned_empty(array.shape, array.dtype.name)
    copy[...] = array
    return copy


def allocate_block(nbytes: int) -> np.ndarray:
    """Anonymous memory of `nbytes`, on huge pages where the system has them: fewer of them to look up."""
    block = mmap.mmap(-1, max(nbytes, 1))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, np.uint8)


def views(block: np.ndarray, stored: Sequence[StoredTensor]) -> list[np.ndarray]:
    """The tensors that lie in `block`."""
    found = []
    for tensor in stored:
        nbytes = int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize
        found.append(block[tensor.offset : tensor.offset + nbytes].view(tensor.dtype).reshape(tensor.shape))
    return found


def as_tensor(array: np.ndarray) -> Any:  # noqa: ANN401 - tvm_ffi.Tensor, imported late
    """The kernel's view of an aligned array, without a copy."""
    return ffi().from_dlpack(array)
