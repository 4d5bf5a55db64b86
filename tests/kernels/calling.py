"""Compile one kernel as `build` does, and call it on memory that shows what it must not touch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import tvm
from tvm import tirx

from lascompile.runtime.memory import ALIGNMENT
from lascompile.schedules.cpu.pipeline import register_pipeline
from lascompile.target import CpuTarget, parse_target

SENTINEL = np.float32(-12345.0)
"""What stands in a buffer before a kernel writes it."""

_FENCE_BYTES = 4096
_FENCE = 0xFF
"""Every float32 of such bytes is NaN: a result that reads beyond a buffer shows it."""

Arrays = Mapping[str, np.ndarray]


@cache
def target_of(text: str) -> CpuTarget:
    """The target that `text` names."""
    target = parse_target(text)
    assert isinstance(target, CpuTarget)
    return target


def compiled(func: tirx.PrimFunc, target: str = "llvm") -> tvm.runtime.Executable:
    """The machine code of `func` for `target`, by the pipeline of the project."""
    module = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    return tvm.compile(module, target=target_of(target).to_tvm(), tir_pipeline=register_pipeline())


class Kernel:
    """A compiled function that takes its buffers by name.

    Attributes:
        arguments: The names of its parameters, in order.
    """

    def __init__(self, func: tirx.PrimFunc, target: str = "llvm") -> None:
        self.arguments = tuple(str(param.name) for param in func.params)
        self._main = compiled(func, target)["main"]

    def __call__(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """All buffers as they are after the call, which sees copies of `arrays` and nothing around them."""
        blocks = {name: _fenced(arrays[name]) for name in self.arguments}
        inside = {name: _inside(block, arrays[name]) for name, block in blocks.items()}
        self._main(*[tvm.runtime.from_dlpack(inside[name]) for name in self.arguments])
        for name, block in blocks.items():
            end = _FENCE_BYTES + arrays[name].nbytes
            untouched = (block[:_FENCE_BYTES] == _FENCE).all() and (block[end:] == _FENCE).all()
            assert untouched, f"the kernel wrote outside {name}"
        return inside


def _fenced(array: np.ndarray) -> np.ndarray:
    """Bytes with room for `array` between two fences; the room starts at an aligned address."""
    size = 2 * _FENCE_BYTES + array.nbytes
    raw = np.full(size + ALIGNMENT, _FENCE, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def _inside(block: np.ndarray, array: np.ndarray) -> np.ndarray:
    view = block[_FENCE_BYTES : _FENCE_BYTES + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def assert_same_bits(actual: np.ndarray, expected: np.ndarray, where: str = "") -> None:
    """Fails if any byte differs: NaN equals NaN of the same bits, and -0.0 is not 0.0."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    assert actual.tobytes() == expected.tobytes(), f"{where} differs"
