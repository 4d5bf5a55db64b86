"""A scheduled function becomes a source and launches; the source computes what the function says."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import te
from tvm.s_tir import Schedule

from lascompile.cuda.source import emit_source
from lascompile.target import CudaTarget
from tests.cuda.emulator import available, run_checked
from tests.cuda.kernels import arguments, gathered_product, two_kernels


def test_launch_of_a_kernel():
    (launch,) = emit_source(gathered_product(), CudaTarget("sm_70")).launches
    assert (launch.grid, launch.block, launch.dynamic_shared_bytes) == ((4, 1, 1), (16, 16, 1), 0)
    assert sorted(launch.arguments) == [0, 1, 2, 3]
    assert launch.threads == 256


@pytest.mark.skipif(available() is not None, reason=available() or "")
def test_arguments_are_in_the_kernel_s_order():
    source = emit_source(gathered_product(), CudaTarget("sm_70"))
    (launch,) = source.launches
    given = arguments()
    values = [list(given.values())[position] for position in launch.arguments]
    y = run_checked(source.text, launch.symbol, launch.grid, launch.block, values)["y"]
    np.testing.assert_allclose(y, given["x"][given["rows"]] @ given["w"], rtol=1e-4, atol=1e-5)


def test_a_function_of_two_kernels_has_two_launches_in_order():
    first, second = emit_source(two_kernels(), CudaTarget("sm_80")).launches
    assert (first.grid, first.block) == ((2, 1, 1), (32, 1, 1))
    assert (second.grid, second.block) == ((1, 1, 1), (64, 1, 1))
    assert set(first.arguments) == {0, 1}
    assert set(second.arguments) == {1, 2}
    assert first.symbol != second.symbol


def test_a_buffer_between_two_kernels_must_be_a_parameter():
    x = te.placeholder((64,), "float32", name="x")
    z = te.compute((64,), lambda i: x[i] * 2.0, name="z")
    sch = Schedule(te.create_prim_func([x, te.compute((64,), lambda i: z[i] + 1.0, name="y")]))
    for name in ("z", "y"):
        sch.bind(sch.get_loops(sch.get_sblock(name))[0], "threadIdx.x")
    with pytest.raises(ValueError, match="takes z, which is no parameter of its function: x, y"):
        emit_source(sch.mod["main"], CudaTarget("sm_80"))


def test_equal_functions_have_equal_text():
    named = gathered_product().with_attr("global_symbol", "another")
    assert emit_source(named, CudaTarget("sm_70")) == emit_source(gathered_product(), CudaTarget("sm_70"))
