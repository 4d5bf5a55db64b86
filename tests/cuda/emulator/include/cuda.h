// CUDA C for a CPU compiler: what TVM's emitted kernels use of it, as far as they use it.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "emulator.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __CUDACC_VER_MAJOR__ 12
#define __CUDACC_VER_MINOR__ 9
#define __CUDA_ARCH__ 900

typedef unsigned char uchar;

struct dim3 {
  unsigned x, y, z;
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

// Vectors are aligned as on the device: to their size, but to at most 16 bytes.
#define EMU_VECTORS(T, NAME)                                                                         \
  struct NAME##1 { T x; };                                                                           \
  struct alignas(sizeof(T) * 2) NAME##2 { T x, y; };                                                 \
  struct NAME##3 { T x, y, z; };                                                                     \
  struct alignas(sizeof(T) * 4 > 16 ? 16 : sizeof(T) * 4) NAME##4 { T x, y, z, w; };                 \
  static inline NAME##1 make_##NAME##1(T x) { return {x}; }                                          \
  static inline NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }                                  \
  static inline NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }                          \
  static inline NAME##4 make_##NAME##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMU_VECTORS(float, float)
EMU_VECTORS(double, double)
EMU_VECTORS(signed char, char)
EMU_VECTORS(unsigned char, uchar)
EMU_VECTORS(short, short)
EMU_VECTORS(unsigned short, ushort)
EMU_VECTORS(int, int)
EMU_VECTORS(unsigned int, uint)
EMU_VECTORS(long long, longlong)
EMU_VECTORS(unsigned long long, ulonglong)
#undef EMU_VECTORS

template <class T> static inline T max(T a, T b) { return a > b ? a : b; }
template <class T> static inline T min(T a, T b) { return a < b ? a : b; }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline float min(float a, float b) { return fminf(a, b); }

// glibc declares these names too.
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __powf(x, y) powf(x, y)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
static inline int __mul24(int a, int b) { return a * b; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __float_as_uint(float x) { unsigned u; memcpy(&u, &x, 4); return u; }
static inline int __float_as_int(float x) { int i; memcpy(&i, &x, 4); return i; }
static inline float __uint_as_float(unsigned x) { float f; memcpy(&f, &x, 4); return f; }
static inline float __int_as_float(int x) { float f; memcpy(&f, &x, 4); return f; }
template <class T> static inline T __ldg(const T* p) { return *p; }
static inline void __threadfence() {}
static inline void __threadfence_block() {}

#define __syncthreads() emu_block_barrier(__LINE__)
static inline void emu_syncwarp(int line, unsigned mask = 0xffffffffu) { emu_warp_barrier(line, mask, 1); }
#define __syncwarp(...) emu_syncwarp(__LINE__ __VA_OPT__(,) __VA_ARGS__)
#define __activemask() emu_active_mask()
#define __cvta_generic_to_shared(p) emu_shared_address((const void*)(p))

// Warp shuffles: a lane outside its segment of `width` lanes gets its own value back.
template <class T> static inline T emu_shuffle(int line, unsigned mask, T value, int lane) {
  static_assert(sizeof(T) <= 8, "shuffles move up to 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = emu_exchange(line, mask, bits, lane);
  memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T> static inline T emu_shfl(int line, unsigned mask, T v, int from, int width = 32) {
  return emu_shuffle(line, mask, v, (emu_lane() & ~(width - 1)) + (from & (width - 1)));
}
template <class T> static inline T emu_shfl_up(int line, unsigned mask, T v, int by, int width = 32) {
  int lane = emu_lane();
  return emu_shuffle(line, mask, v, (lane & (width - 1)) >= by ? lane - by : lane);
}
template <class T> static inline T emu_shfl_down(int line, unsigned mask, T v, int by, int width = 32) {
  int lane = emu_lane();
  return emu_shuffle(line, mask, v, (lane & (width - 1)) + by < width ? lane + by : lane);
}
template <class T> static inline T emu_shfl_xor(int line, unsigned mask, T v, int by, int width = 32) {
  int lane = emu_lane(), other = lane ^ by;
  return emu_shuffle(line, mask, v, other / width <= lane / width ? other : lane);
}
#define __shfl_sync(mask, ...) emu_shfl(__LINE__, mask, __VA_ARGS__)
#define __shfl_up_sync(mask, ...) emu_shfl_up(__LINE__, mask, __VA_ARGS__)
#define __shfl_down_sync(mask, ...) emu_shfl_down(__LINE__, mask, __VA_ARGS__)
#define __shfl_xor_sync(mask, ...) emu_shfl_xor(__LINE__, mask, __VA_ARGS__)
#define __ballot_sync(mask, predicate) emu_ballot(__LINE__, mask, (predicate) != 0)
#define __any_sync(mask, predicate) (emu_ballot(__LINE__, mask, (predicate) != 0) != 0)
#define __all_sync(mask, predicate) (emu_ballot(__LINE__, mask, (predicate) == 0) == 0)

// Threads of a block take turns, so that a plain update is atomic; the race detector is told that it is meant to be.
template <class T> EMU_UNCHECKED static inline T atomicAdd(T* p, T v) {
  emu_access(p, sizeof(T), EMU_ATOMIC);
  T old = *p;
  *p = old + v;
  return old;
}
template <class T> EMU_UNCHECKED static inline T atomicMax(T* p, T v) {
  emu_access(p, sizeof(T), EMU_ATOMIC);
  T old = *p;
  *p = old > v ? old : v;
  return old;
}
