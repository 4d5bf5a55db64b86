"""Permission to use tile registers, which the library of a trial asks for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tvm

from lascompile.cpu import permit_tiles
from lascompile.errors import DeviceError
from lascompile.records import Failure
from lascompile.schedules.cpu.algorithms import ALGORITHMS, BF16X3
from lascompile.schedules.cpu.tile_permission import (
    PERMIT,
    REFUSED,
    TilesRefusedError,
    ask_for_tiles,
    needs_tiles,
    permission_function,
)
from lascompile.target import parse_target
from lascompile.toolchain import link_function
from lascompile.tune.builder import build_library
from lascompile.tune.runner import _check_board
from lascompile.tune.trial import evaluate_remotely
from tests.tune.tiny import PACKED

SAPPHIRE_RAPIDS = "llvm -mtriple=x86_64-linux-gnu -mcpu=sapphirerapids"


def test_the_library_of_a_kernel_with_tiles_can_ask(tmp_path):
    target = parse_target(SAPPHIRE_RAPIDS)
    decisions = ALGORITHMS[BF16X3.name].space(PACKED, target, 1).default
    build_library(PACKED, BF16X3.name, decisions, target, tmp_path / "trial.so", link_function(target.mtriple))
    answer = tvm.runtime.load_module(str(tmp_path / "trial.so"))[PERMIT]()
    assert (answer == 0) is permit_tiles()


def test_kernels_without_tiles_do_not_ask():
    assert [algorithm for algorithm in ALGORITHMS.values() if needs_tiles(algorithm)] == [BF16X3]


def test_what_is_asked():
    asked = 'T.call_extern("int64", "syscall", T.int64(158), T.int64(4131), T.int64(18))'
    assert asked in permission_function().script()


def test_a_board_that_refuses_runs_nothing():
    call = SimpleNamespace(job=SimpleNamespace(row=BF16X3))
    with pytest.raises(TilesRefusedError):
        evaluate_remotely(None, {PERMIT: lambda: -1}, None, None, [call])
    ask_for_tiles({PERMIT: lambda: 0})


def test_a_board_that_refuses_ends_the_tuning():
    refused = Failure("run", f"lascompile.schedules.cpu.tile_permission.TilesRefusedError: {REFUSED}")
    with pytest.raises(DeviceError, match=r"^the board does not let kernels use .*; else give a --target without them"):
        _check_board(refused)
    _check_board(Failure("run", "the kernel crashed"))
