"""Arrays at addresses that vector instructions want, and the tensors that kernels take."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

from lascompile.errors import ArtifactError
from lascompile.manifest import ALIGNMENT, StoredTensor, check_stored
from lascompile.runtime.library import ffi


def aligned_empty(shape: Sequence[int], dtype: str) -> np.ndarray:
    """An uninitialised array that starts at an aligned address."""
    nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    block = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + nbytes].view(dtype).reshape(shape)


def aligned(array: np.ndarray) -> np.ndarray:
    """`array` itself if it is contiguous, aligned, writable and of native byte order, as DLPack asks; else a copy."""
    flags = array.flags
    if flags.c_contiguous and flags.writeable and array.dtype.isnative and array.ctypes.data % ALIGNMENT == 0:
        return array
    copy = aligned_empty(array.shape, array.dtype.name)
    copy[...] = array
    return copy


def allocate_block(nbytes: int) -> np.ndarray:
    """Anonymous memory of `nbytes`, on huge pages where the system has them: fewer of them to look up."""
    # Private, since the pages of shared memory are small ones by default.
    block = mmap.mmap(-1, max(nbytes, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            block.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(block, np.uint8)


def views(block: np.ndarray, stored: Sequence[StoredTensor]) -> list[np.ndarray]:
    """The tensors that lie in `block`.

    Raises:
        ArtifactError: One does not.
    """
    try:
        check_stored("a stored tensor", stored, block.nbytes)
        return [_view(block, tensor) for tensor in stored]
    except ValueError as error:
        raise ArtifactError(f"the manifest is damaged ({error}); build the artifact again") from None


def _view(block: np.ndarray, tensor: StoredTensor) -> np.ndarray:
    nbytes = int(np.prod(tensor.shape, dtype=np.int64)) * np.dtype(tensor.dtype).itemsize
    return block[tensor.offset : tensor.offset + nbytes].view(tensor.dtype).reshape(tensor.shape)


def as_tensor(array: np.ndarray) -> Any:  # noqa: ANN401 - tvm_ffi.Tensor, imported late
    """The kernel's view of an aligned array, without a copy."""
    return ffi().from_dlpack(array)
