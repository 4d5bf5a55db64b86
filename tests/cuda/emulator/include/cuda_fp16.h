// float16 as the CPU compiler's _Float16: each operation rounds once, as on the device.
#pragma once
#include "cuda.h"

typedef _Float16 half;
typedef half __half;
struct alignas(4) half2 {
  half x, y;
};
typedef half2 __half2;

static inline half __float2half(float f) { return (half)f; }
static inline half __float2half_rn(float f) { return (half)f; }
static inline float __half2float(half h) { return (float)h; }
static inline half2 make_half2(half x, half y) { return {x, y}; }
static inline half2 __halves2half2(half x, half y) { return {x, y}; }
static inline half __low2half(half2 v) { return v.x; }
static inline half __high2half(half2 v) { return v.y; }
static inline half2 __floats2half2_rn(float x, float y) { return {(half)x, (half)y}; }
static inline bool __hgt(half a, half b) { return a > b; }
static inline bool __hlt(half a, half b) { return a < b; }
static inline half __hmul(half a, half b) { return a * b; }
static inline half __hadd(half a, half b) { return a + b; }
