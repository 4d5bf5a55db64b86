"""Emitted CUDA C to C++ for the emulator's headers: shared arrays, inline PTX, and a way to call each kernel."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.cuda.emulator.ptx import translate

_ASM = re.compile(r"\b(?:__asm__|asm)\s*(?:__volatile__|volatile)?\s*\(")
_ALIGN = r"(?:(?:alignas|__align__)\s*\(\d+\)\s*)?"
_DYNAMIC = re.compile(rf"extern\s+__shared__\s+{_ALIGN}([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")
_SHARED = re.compile(rf"__shared__\s+{_ALIGN}([\w ]+?)\s+(\w+)\s*((?:\[\s*\d+\s*\])+)\s*;")
_KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([\d, ]+\) )?(\w+)\(([^)]*)\)\s*\{')


@dataclass(frozen=True)
class Kernel:
    """A kernel of a source.

    Attributes:
        name: Its symbol.
        parameters: Names of its parameters, as the source has them.
        types: Their types.
    """

    name: str
    parameters: tuple[str, ...]
    types: tuple[str, ...]


def kernels(source: str) -> dict[str, Kernel]:
    """The kernels that `source` defines, by name."""
    return {match[1]: _kernel(match[1], match[2]) for match in _KERNEL.finditer(source)}


def _kernel(name: str, signature: str) -> Kernel:
    declared = [word.replace("__restrict__", " ").strip() for word in signature.split(",") if word.strip()]
    split = [re.fullmatch(r"(.*?)(\w+)", text, re.DOTALL) for text in declared]
    pairs = [(match[1].strip(), match[2]) for match in split if match]
    return Kernel(name, tuple(pair[1] for pair in pairs), tuple(pair[0] for pair in pairs))


def rewrite(source: str) -> str:
    """`source` as C++, with `emu_kernel_NAME(void** arguments)` for each kernel.

    Raises:
        UnknownPtx: It has inline PTX that the emulator does not know.
        ValueError: It declares shared memory in a way that the emulator does not know.
    """
    found = kernels(source)
    source = _shared_arrays(_inline_ptx(source))
    callers = "".join(_caller(kernel) for kernel in found.values())
    return f'#include "cuda_fp16.h"\n#line 1 "kernel.cu"\n{source}\n{callers}'


def _inline_ptx(source: str) -> str:
    done, at = [], 0
    for match in _ASM.finditer(source):
        end = _closing(source, match.end())
        line = source.count("\n", 0, match.start()) + 1
        kept_lines = "\n" * source.count("\n", match.start(), end)
        done += [source[at : match.start()], translate(source[match.end() : end], line), kept_lines]
        at = end + 1
    return "".join([*done, source[at:]])


def _closing(text: str, at: int) -> int:
    """Where the parenthesis closes that was opened before `at`."""
    depth, quoted = 1, False
    while depth:
        quoted ^= text[at] == '"'
        depth += 0 if quoted else (text[at] == "(") - (text[at] == ")")
        at += 1
    return at - 1


def _shared_arrays(source: str) -> str:
    """Before: `__shared__ float x[2][8];` After: `float (*x)[8] = (float (*)[8])emu_shared(0, sizeof(float) * 16);`."""
    source = _DYNAMIC.sub(r"\1* \2 = (\1*)emu_dynamic_shared();", source)
    count = 0

    def array(match: re.Match[str]) -> str:
        nonlocal count
        dtype, name = match[1], match[2]
        extents = [int(extent) for extent in re.findall(r"\d+", match[3])]
        inner = "".join(f"[{extent}]" for extent in extents[1:])
        pointer = f"(*{name}){inner}" if inner else f"*{name}"
        cast = f"(*){inner}" if inner else "*"
        elements = 1
        for extent in extents:
            elements *= extent
        count += 1
        return f"{dtype} {pointer} = ({dtype} {cast})emu_shared({count - 1}, sizeof({dtype}) * {elements});"

    source = _SHARED.sub(array, source)
    if "__shared__" in source:
        declared = source[source.index("__shared__") :].partition("\n")[0]
        raise ValueError(f"shared memory in a way that the emulator does not know: {declared}")
    return source


def _caller(kernel: Kernel) -> str:
    arguments = ", ".join(f"*({dtype}*)a[{i}]" for i, dtype in enumerate(kernel.types))
    sizes = ", ".join([*(f"sizeof({dtype})" for dtype in kernel.types), "0"])
    return (
        f'extern "C" EMU_UNCHECKED void emu_kernel_{kernel.name}(void** a) {{ {kernel.name}({arguments}); }}\n'
        f'extern "C" const int emu_sizes_{kernel.name}[] = {{{sizes}}};\n'
    )
