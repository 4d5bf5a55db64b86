"""The emulator computes what a GPU computes, and catches what a kernel must not do: each fault is put into a kernel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cuda.emulator import KernelFault, UnknownPtx, available, kernels, rewrite, run_checked, run_kernel

pytestmark = pytest.mark.skipif(available() is not None, reason=available() or "")

REVERSE = """
extern "C" __global__ void __launch_bounds__(64) reverse(float* __restrict__ x_ptr, float* __restrict__ y_ptr, int n);
extern "C" __global__ void __launch_bounds__(64) reverse(float* __restrict__ x_ptr, float* __restrict__ y_ptr, int n) {
  __shared__ alignas(64) float tile[64];
  int i = ((int)blockIdx.x) * 64 + ((int)threadIdx.x);
  if (i < n) tile[((int)threadIdx.x)] = x_ptr[i];
  __syncthreads();
  int j = ((int)blockIdx.x) * 64 + 63 - ((int)threadIdx.x);
  if (j < n) y_ptr[j] = tile[63 - ((int)threadIdx.x)] + tile[0];
}
"""
"""y[j] = x[j] + the first x of the block, through shared memory; n does not divide."""

COPY = """
extern "C" __global__ void copy(float* __restrict__ x_ptr, float* __restrict__ y_ptr) {
  __shared__ float tile[2][32][4];
  int t = threadIdx.x;
  for (int i = 0; i < 2; i++) {
    unsigned to = __cvta_generic_to_shared(&tile[i][t][0]);
    asm volatile("cp.async.cg.shared.global [%0], [%1], %2;" :: "r"(to), "l"(x_ptr + i * 128 + t * 4), "n"(16));
    asm volatile("cp.async.commit_group;");
  }
  asm volatile("cp.async.wait_group 1;");
  __syncthreads();
  y_ptr[t] = tile[0][31 - t][0];
  asm volatile("cp.async.wait_group 0;");
  __syncthreads();
  y_ptr[32 + t] = tile[1][31 - t][3];
}
"""
"""Two copies in flight, each read by the thread that did not ask for it."""


def reverse(source: str = REVERSE, mode: str = "race", order: int = 0, n: int = 100) -> dict[str, np.ndarray]:
    x = np.arange(1, n + 1, dtype="float32")
    args = {"x": x, "y": np.full(n, np.nan, "float32"), "n": np.int32(n)}
    return run_kernel(source, "reverse", 2, 64, args, mode, order)


def copy(source: str = COPY, mode: str = "race", order: int = 0) -> np.ndarray:
    args = {"x": np.arange(256, dtype="float32"), "y": np.full(64, np.nan, "float32")}
    return run_kernel(source, "copy", 1, 32, args, mode, order)["y"]


def edited(source: str, before: str, after: str, which: int = 0) -> str:
    """`source` with one occurrence replaced."""
    parts = source.split(before)
    assert len(parts) > which + 1
    return before.join(parts[: which + 1]) + after + before.join(parts[which + 1 :])


def test_right_kernels_pass_in_every_mode_and_order():
    x = np.arange(1, 101, dtype="float32")
    y = run_checked(REVERSE, "reverse", 2, 64, [x, np.full(100, np.nan, "float32"), np.int32(100)])["y"]
    np.testing.assert_array_equal(y, x + x[np.arange(100) // 64 * 64])
    expected = np.concatenate([np.arange(128)[::4][::-1], np.arange(128, 256)[3::4][::-1]])
    for order in (0, 1, 2):
        np.testing.assert_array_equal(copy(order=order), expected)
        np.testing.assert_array_equal(copy(mode="fast", order=order), expected)


@pytest.mark.parametrize("order", [0, 1])
def test_a_removed_barrier(order):
    with pytest.raises(KernelFault, match=r"race: \w+ what another thread (wrote|read): 4 bytes at shared"):
        reverse(edited(REVERSE, "__syncthreads();", ";"), order=order)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("which", [0, 1])
def test_a_removed_barrier_behind_a_wait(order, which):
    with pytest.raises(KernelFault, match="race|still being copied"):
        copy(edited(COPY, "__syncthreads();", ";", which), order=order)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("wait", ["cp.async.wait_group 1", "cp.async.wait_group 0"])
def test_a_missing_wait(wait, order):
    late = edited(COPY, f'asm volatile("{wait};");', "")
    with pytest.raises(KernelFault, match="still being copied"):
        copy(late, order=order)


def test_a_wait_for_too_little():
    with pytest.raises(KernelFault, match="still being copied"):
        copy(edited(COPY, "wait_group 0", "wait_group 1"))


def test_a_copy_that_nobody_waits_for_is_told_in_every_mode():
    with pytest.raises(KernelFault, match="ended without waiting"):
        copy(edited(COPY, 'asm volatile("cp.async.wait_group 0;");', ""), mode="fast", order=1)


@pytest.mark.parametrize("mode", ["race", "bounds"])
@pytest.mark.parametrize("guard", ["if (i < n)", "if (j < n)"])
def test_a_wrong_guard(guard, mode):
    with pytest.raises(KernelFault, match=r"out of bounds|AddressSanitizer"):
        reverse(edited(REVERSE, guard, guard.replace("<", "<=")), mode)


@pytest.mark.parametrize("mode", ["race", "bounds"])
@pytest.mark.parametrize("index", ["tile[63 -", "x_ptr[i"])
def test_an_index_one_too_far(index, mode):
    further = {"tile[63 -": "tile[64 -", "x_ptr[i": "x_ptr[i + 1"}[index]
    with pytest.raises(KernelFault, match=r"out of bounds|AddressSanitizer"):
        reverse(edited(REVERSE, index, further), mode)


def test_an_index_before_the_first():
    with pytest.raises(KernelFault, match=r"out of bounds: 4 bytes at x-4, which has 400"):
        reverse(edited(REVERSE, "x_ptr[i]", "x_ptr[i - 1]"))


@pytest.mark.parametrize("threads", [32, 40])
def test_a_divergent_barrier_in_every_mode(threads):
    with pytest.raises(KernelFault, match=f"barrier divergence: {threads} of 64"):
        some = f"if (threadIdx.x < {threads}) __syncthreads();"
        reverse(edited(REVERSE, "__syncthreads();", some), "fast")


def test_threads_at_different_barriers():
    with pytest.raises(KernelFault, match="threads wait at lines"):
        two = "if (threadIdx.x < 32) __syncthreads();\n else __syncthreads();"
        reverse(edited(REVERSE, "__syncthreads();", two), "fast")


def test_shared_memory_is_nan_until_it_is_written():
    unwritten = edited(REVERSE, "if (i < n) tile", "if (i < n && threadIdx.x) tile")
    assert np.isnan(reverse(unwritten, "fast")["y"]).all()


def test_blocks_that_depend_on_each_other():
    chain = """
extern "C" __global__ void chain(int* __restrict__ x_ptr) {
  if (blockIdx.x) x_ptr[blockIdx.x] = x_ptr[blockIdx.x - 1] + 1;
}
"""
    args = {"x": np.zeros(4, "int32")}
    assert list(run_kernel(chain, "chain", 4, 1, args)["x"]) == [0, 1, 2, 3]  # as it happens
    with pytest.raises(KernelFault, match="race"):
        run_kernel(chain, "chain", 4, 1, args, "race")
    with pytest.raises(KernelFault, match="x of mode fast, order 1 differ"):
        run_checked(chain, "chain", 4, 1, args)


def test_misaligned_vectors():
    wide = """
extern "C" __global__ void wide(float* __restrict__ x_ptr, float* __restrict__ y_ptr) {
  *(float4*)(y_ptr) = *(float4*)(x_ptr + 1);
}
"""
    args = {"x": np.zeros(8, "float32"), "y": np.zeros(4, "float32")}
    for mode, told in (("race", "misaligned: 16 bytes"), ("bounds", "misaligned address")):
        with pytest.raises(KernelFault, match=told):
            run_kernel(wide, "wide", 1, 1, args, mode)


WARP = """
extern "C" __global__ void warp(int* __restrict__ x_ptr, int* __restrict__ y_ptr) {
  int lane = threadIdx.x % 32, v = x_ptr[threadIdx.x];
  int sum = v;
  for (int by = 16; by; by /= 2) sum += __shfl_xor_sync(0xffffffff, sum, by);
  int scan = v;
  for (int by = 1; by < 32; by *= 2) {
    int before = __shfl_up_sync(0xffffffff, scan, by);
    if (lane >= by) scan += before;
  }
  int half = v;
  for (int by = 8; by; by /= 2) half += __shfl_down_sync(__activemask(), half, by, 16);
  half = __shfl_sync(0xffffffff, half, 0, 16);
  y_ptr[threadIdx.x * 4] = sum;
  y_ptr[threadIdx.x * 4 + 1] = scan;
  y_ptr[threadIdx.x * 4 + 2] = half;
  y_ptr[threadIdx.x * 4 + 3] = __popc(__ballot_sync(0xffffffff, v & 1));
}
"""


def test_warp_operations():
    x = np.random.default_rng(0).integers(0, 100, 64).astype("int32")
    y = run_checked(WARP, "warp", 1, 64, {"x": x, "y": np.full(256, -1, "int32")})["y"].reshape(2, 32, 4)
    warps = x.reshape(2, 32)
    np.testing.assert_array_equal(y[..., 0], np.broadcast_to(warps.sum(1)[:, None], (2, 32)))
    np.testing.assert_array_equal(y[..., 1], warps.cumsum(1))
    np.testing.assert_array_equal(y[..., 2], warps.reshape(2, 2, 16).sum(2).repeat(16, 1))
    np.testing.assert_array_equal(y[..., 3], np.broadcast_to((warps & 1).sum(1)[:, None], (2, 32)))


def test_a_divergent_shuffle():
    source = edited(WARP, "int scan = v;", "int scan = v; if (lane < 31) __shfl_sync(0xffffffff, v, 0);")
    with pytest.raises(KernelFault, match="divergence at a warp operation"):
        run_kernel(source, "warp", 1, 64, {"x": np.zeros(64, "int32"), "y": np.zeros(256, "int32")})


SYNCWARP = """
extern "C" __global__ void exchange(float* __restrict__ x_ptr, float* __restrict__ y_ptr) {
  __shared__ float tile[64];
  tile[threadIdx.x] = x_ptr[threadIdx.x];
  __syncwarp();
  y_ptr[threadIdx.x] = tile[threadIdx.x ^ 1];
}
"""


def test_syncwarp_orders_a_warp_and_no_more():
    args = {"x": np.arange(64, dtype="float32"), "y": np.full(64, np.nan, "float32")}
    y = run_checked(SYNCWARP, "exchange", 1, 64, args)["y"]
    np.testing.assert_array_equal(y, np.arange(64) ^ 1)
    with pytest.raises(KernelFault, match="race"):
        run_kernel(edited(SYNCWARP, "__syncwarp();", ";"), "exchange", 1, 64, args, "race")
    with pytest.raises(KernelFault, match="race"):
        run_kernel(edited(SYNCWARP, "^ 1", "^ 32"), "exchange", 1, 64, args, "race")


def test_atomics_are_no_race_among_themselves():
    source = """
extern "C" __global__ void count(int* __restrict__ n_ptr) { atomicAdd(&n_ptr[0], 1); }
"""
    assert run_checked(source, "count", 3, 40, {"n": np.zeros(1, "int32")})["n"][0] == 120
    with pytest.raises(KernelFault, match="race"):
        plain = edited(source, "atomicAdd(&n_ptr[0], 1)", "n_ptr[0] += 1")
        run_kernel(plain, "count", 3, 40, [np.zeros(1, "int32")], "race")


MMA = """
#include <cuda_fp16.h>
extern "C" __global__ void product(half* __restrict__ a_ptr, half* __restrict__ b_ptr, float* __restrict__ c_ptr) {
  __shared__ alignas(64) half a_tile[256];
  __shared__ alignas(64) half b_tile[128];
  int lane = threadIdx.x;
  *(uint4*)(a_tile + lane * 8) = *(uint4*)(a_ptr + lane * 8);
  *(uint2*)(b_tile + lane * 4) = *(uint2*)(b_ptr + lane * 4);
  __syncthreads();
  unsigned a[4], b[2];
  float c[4] = {1, 1, 1, 1};
  unsigned at_a = __cvta_generic_to_shared(a_tile + lane % 16 * 16 + lane / 16 * 8);
  unsigned at_b = __cvta_generic_to_shared(b_tile + lane % 16 * 8);
  __asm__ __volatile__("ldmatrix.sync.aligned.m8n8.x4.shared.b16" "{%0, %1, %2, %3}, [%4];\\n"
    : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3]) : "r"(at_a));
  __asm__ __volatile__("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16" "{%0, %1}, [%2];\\n"
    : "=r"(b[0]), "=r"(b[1]) : "r"(at_b));
  __asm__ __volatile__("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
    "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\\n"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  for (int e = 0; e < 4; e++) c_ptr[(lane / 4 + e / 2 * 8) * 8 + lane % 4 * 2 + e % 2] = c[e];
}
"""


def test_ldmatrix_and_mma_float16():
    random = np.random.default_rng(1)
    a, b = random.standard_normal((16, 16)).astype("float16"), random.standard_normal((16, 8)).astype("float16")
    c = run_checked(MMA, "product", 1, 32, {"a": a, "b": b, "c": np.full((16, 8), np.nan, "float32")})["c"]
    np.testing.assert_allclose(c, 1 + a.astype("float64") @ b.astype("float64"), rtol=1e-5, atol=1e-5)


TF32 = """
extern "C" __global__ void product(float* __restrict__ a_ptr, float* __restrict__ b_ptr, float* __restrict__ c_ptr) {
  int g = threadIdx.x / 4, q = threadIdx.x % 4;
  float c[4] = {0, 0, 0, 0};
  unsigned a[4], b[2];
  for (int i = 0; i < 4; i++)
    asm volatile("cvt.rna.tf32.f32 %0, %1;" : "=r"(a[i]) : "f"(a_ptr[(g + i % 2 * 8) * 8 + q + i / 2 * 4]));
  for (int i = 0; i < 2; i++) b[i] = __float_as_uint(b_ptr[(q + i * 4) * 8 + g]);
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
    "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  for (int e = 0; e < 4; e++) c_ptr[(g + e / 2 * 8) * 8 + q * 2 + e % 2] = c[e];
}
"""


def test_mma_tf32_has_ten_bits_of_mantissa():
    random = np.random.default_rng(2)
    a, b = random.standard_normal((16, 8)).astype("float32"), random.standard_normal((8, 8)).astype("float32")
    c = run_checked(TF32, "product", 1, 32, {"a": a, "b": b, "c": np.full((16, 8), np.nan, "float32")})["c"]
    rounded = ((a.view("uint32") + 0x1000) & 0xFFFFE000).astype("uint32").view("float32")
    cut = (b.view("uint32") & 0xFFFFE000).astype("uint32").view("float32")
    np.testing.assert_allclose(c, rounded.astype("float64") @ cut.astype("float64"), rtol=1e-5, atol=1e-6)
    assert np.abs(c - a.astype("float64") @ b.astype("float64")).max() > 1e-4


WMMA = """
#include <mma.h>
extern "C" __global__ void product(half* __restrict__ a_ptr, half* __restrict__ b_ptr, float* __restrict__ c_ptr) {
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_a, 16, 16, 16, half, nvcuda::wmma::row_major> a[1];
  nvcuda::wmma::fragment<nvcuda::wmma::matrix_b, 16, 16, 16, half, nvcuda::wmma::col_major> b[1];
  nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> c[1];
  nvcuda::wmma::fill_fragment(c[0], 0.000000e+00f);
  for (int k = 0; k < 2; k++) {
    nvcuda::wmma::load_matrix_sync(a[0], a_ptr + k * 16, 32);
    nvcuda::wmma::load_matrix_sync(b[0], b_ptr + k * 16, 32);
    nvcuda::wmma::mma_sync(c[0], a[0], b[0], c[0]);
  }
  nvcuda::wmma::store_matrix_sync(c_ptr, c[0], 16, nvcuda::wmma::mem_row_major);
}
"""


def test_wmma():
    random = np.random.default_rng(3)
    a, b = (random.standard_normal((16, 32)).astype("float16") for _ in range(2))
    c = run_checked(WMMA, "product", 1, 32, {"a": a, "b": b, "c": np.full((16, 16), np.nan, "float32")})["c"]
    np.testing.assert_allclose(c, a.astype("float64") @ b.astype("float64").T, rtol=1e-5, atol=1e-5)


ASYNC_GUARDED = """
extern "C" __global__ void guarded(float* __restrict__ x_ptr, float* __restrict__ y_ptr, int n) {
  extern __shared__ uchar tile[];
  int t = threadIdx.x;
  unsigned to = __cvta_generic_to_shared(tile + t * 16);
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %0, 0; @p cp.async.ca.shared.global [%1], [%2], %3;"
               " @!p st.shared.v4.u32 [%1], {%4, %4, %4, %4}; }"
               :: "r"((int)(t < n)), "r"(to), "l"(x_ptr + t * 4), "n"(16), "r"(0));
  asm volatile("cp.async.wait_all;");
  __syncthreads();
  y_ptr[t] = ((float*)tile)[(31 - t) * 4 + 1];
}
"""


def test_predicated_copies_and_dynamic_shared_memory():
    args = {"x": np.arange(80, dtype="float32"), "y": np.full(32, np.nan, "float32"), "n": np.int32(20)}
    y = run_checked(ASYNC_GUARDED, "guarded", 1, 32, args, dynamic_shared_bytes=512)["y"]
    rows = np.arange(31, -1, -1)
    np.testing.assert_array_equal(y, np.where(rows < 20, rows * 4 + 1, 0))
    with pytest.raises(KernelFault, match="out of bounds: 16 bytes at shared"):
        run_kernel(ASYNC_GUARDED, "guarded", 1, 32, args, "fast", dynamic_shared_bytes=500)


def test_unknown_ptx_is_an_error():
    with pytest.raises(UnknownPtx, match="red.global.add.f32"):
        statement = 'asm volatile("red.global.add.f32 [%0], %1;" :: "l"(x), "f"(1.f));'
        rewrite(f'extern "C" __global__ void k(float* x) {{ {statement} }}')


def test_kernels_and_their_parameters():
    kernel = kernels(REVERSE)["reverse"]
    assert kernel.parameters == ("x_ptr", "y_ptr", "n")
    assert kernel.types == ("float*", "float*", "int")
    with pytest.raises(TypeError, match="reverse has the parameters x, y, n, got x"):
        run_kernel(REVERSE, "reverse", 1, 1, {"x": np.zeros(1)})
