"""Intel's tile matrix unit (AMX): eight registers of 16 rows of 64 bytes, and what can be done with them.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
"""

from __future__ import annotations

from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

TILES = 8
TILE_ROWS = 16
ROW_BYTES = 64


def configure() -> None:
    """Give every tile its full size, on the thread that runs this; `release` ends it."""
    shape = T.alloc_buffer((64,), "uint8", scope="local")
    palette, row_bytes, rows = 0, 16, 48
    sizes = {palette: 1}
    sizes |= {row_bytes + 2 * tile: ROW_BYTES for tile in range(TILES)}
    sizes |= {rows + tile: TILE_ROWS for tile in range(TILES)}
    for byte in range(64):
        T.buffer_store(shape, tirx.const(sizes.get(byte, 0), "uint8"), [byte])
    _call("ldtilecfg", tirx.address_of(shape[0]))


def release() -> None:
    """Give the tiles back, so that switching to another thread need not save them."""
    _call("tilerelease")


def zero(tile: int) -> None:
    """Set a tile to zero."""
    _call("tilezero", _register(tile))


def load(tile: int, address: Expr, stride: int = ROW_BYTES) -> None:
    """Load a tile from rows that lie `stride` bytes apart."""
    _call("tileloadd64", _register(tile), address, T.int64(stride))


def store(tile: int, address: Expr, stride: int) -> None:
    """Store a tile as rows that lie `stride` bytes apart."""
    _call("tilestored64", _register(tile), address, T.int64(stride))


def add_product(sums: int, left: int, right: int) -> None:
    """Sum [16, 16] float32 += left [16, 32] x right [32, 16], bfloat16; two rows of right lie interleaved in one."""
    _call("tdpbf16ps", _register(sums), _register(left), _register(right))


def _register(tile: int) -> Expr:
    return tirx.const(tile, "int8")


def _call(name: str, *arguments: Expr) -> None:
    T.evaluate(tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *arguments))
