// Warp matrix functions. Lane 0 holds a fragment's whole tile and does the work: nobody may rely on which lane has what.
#pragma once
#include <type_traits>

#include "cuda_fp16.h"

namespace nvcuda {
namespace wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };
namespace precision {
struct tf32 {};
}  // namespace precision

template <class T> struct Stored { typedef T type; };
template <> struct Stored<precision::tf32> { typedef float type; };

template <class Use, int M, int N, int K, class T, class Layout = row_major> struct fragment {
  static constexpr int rows = std::is_same<Use, matrix_b>::value ? K : M;
  static constexpr int columns = std::is_same<Use, matrix_a>::value ? K : N;
  typename Stored<T>::type tile[rows][columns];
};

template <class F, class T> void fill_fragment(F& f, T value) {
  if (emu_lane() == 0)
    for (auto& row : f.tile)
      for (auto& element : row) element = value;
}

template <class Use, int M, int N, int K, class T, class Layout, class S>
void load_matrix_sync(fragment<Use, M, N, K, T, Layout>& f, const S* p, unsigned stride) {
  emu_warp_barrier(-1, ~0u, 0);
  if (emu_lane()) return;
  for (int i = 0; i < f.rows; i++)
    for (int j = 0; j < f.columns; j++)
      f.tile[i][j] = std::is_same<Layout, col_major>::value ? p[j * stride + i] : p[i * stride + j];
}

template <int M, int N, int K, class T, class S>
void load_matrix_sync(fragment<accumulator, M, N, K, T>& f, const S* p, unsigned stride, layout_t layout) {
  emu_warp_barrier(-2, ~0u, 0);
  if (emu_lane()) return;
  for (int i = 0; i < f.rows; i++)
    for (int j = 0; j < f.columns; j++)
      f.tile[i][j] = layout == mem_col_major ? p[j * stride + i] : p[i * stride + j];
}

template <int M, int N, int K, class T, class S>
void store_matrix_sync(S* p, const fragment<accumulator, M, N, K, T>& f, unsigned stride, layout_t layout) {
  emu_warp_barrier(-3, ~0u, 0);
  if (emu_lane() == 0)
    for (int i = 0; i < f.rows; i++)
      for (int j = 0; j < f.columns; j++)
        (layout == mem_row_major ? p[i * stride + j] : p[j * stride + i]) = f.tile[i][j];
}

// As the tensor cores read TF32: without the last 13 bits of a float.
static inline float emu_operand(half x) { return (float)x; }
static inline float emu_operand(float x) { return __uint_as_float(__float_as_uint(x) & 0xffffe000u); }

template <class D, class A, class B, class C> void mma_sync(D& d, const A& a, const B& b, const C& c) {
  emu_warp_barrier(-4, ~0u, 0);
  if (emu_lane()) return;
  for (int i = 0; i < d.rows; i++)
    for (int j = 0; j < d.columns; j++) {
      float sum = c.tile[i][j];
      for (int k = 0; k < a.columns; k++) sum += emu_operand(a.tile[i][k]) * emu_operand(b.tile[k][j]);
      d.tile[i][j] = sum;
    }
}

}  // namespace wmma
}  // namespace nvcuda
