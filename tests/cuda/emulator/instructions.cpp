// What kernels write as inline PTX: matrix loads, tensor cores, asynchronous copies. Fragments as the PTX ISA lays them
// out over the lanes («Warp-Level Matrix Instructions», «ldmatrix», «cp.async»).
#include <cstring>

#include "runtime.h"

using namespace emu;

namespace {

constexpr unsigned ALL = ~0u;

char* shared_at(unsigned address, size_t bytes) {
  if (!inside_shared_array(address, bytes)) abandon("out of bounds: %zu bytes at shared+%u", bytes, address);
  return arena + address;
}

void publish(const unsigned* a, int count_a, const unsigned* b, int count_b) {
  unsigned words[8] = {};
  memcpy(words, a, 4 * count_a);
  memcpy(words + count_a, b, 4 * count_b);
  memcpy(current->published, words, sizeof words);
}

unsigned published(int lane, int word) {
  unsigned bits;
  memcpy(&bits, (char*)lane_of_warp(lane).published + 4 * word, 4);
  return bits;
}

float half_of(unsigned word, int high) {
  unsigned short bits = high ? word >> 16 : word;
  _Float16 value;
  memcpy(&value, &bits, 2);
  return value;
}

// The tensor cores ignore the last 13 bits.
float tf32_of(unsigned word) {
  float value;
  word &= 0xffffe000u;
  memcpy(&value, &word, 4);
  return value;
}

// Elements of A [16, K] and B [K, 8] from the registers of the lanes that hold them.
float a_f16(int row, int k) { return half_of(published(row % 8 * 4 + k % 8 / 2, k / 8 * 2 + row / 8), k % 2); }
float b_f16(int k, int column) { return half_of(published(column * 4 + k % 8 / 2, 4 + k / 8), k % 2); }
float a_tf32(int row, int k) { return tf32_of(published(row % 8 * 4 + k % 4, k / 4 * 2 + row / 8)); }
float b_tf32(int k, int column) { return tf32_of(published(column * 4 + k % 4, 4 + k / 4)); }

// Lane l holds of C [16, 8] the rows l / 4 and l / 4 + 8, in the columns l % 4 * 2 and the next.
template <class A, class B> void multiply(int line, float* d, const float* c, int depth, A a, B b) {
  int lane = emu_lane();
  float sums[4];
  for (int e = 0; e < 4; e++) {
    int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
    float sum = 0;
    for (int k = 0; k < depth; k++) sum += a(row, k) * b(k, column);
    sums[e] = c[e] + sum;
  }
  emu_warp_barrier(line, ALL, 0);
  memcpy(d, sums, sizeof sums);
}

}  // namespace

extern "C" {

void emu_ldmatrix(int line, unsigned* registers, int matrices, int transposed, unsigned address) {
  current->published[0] = address;
  emu_warp_barrier(line, ALL, 0);
  int lane = emu_lane();
  for (int i = 0; i < matrices; i++) {
    unsigned short halves[2];
    for (int k = 0; k < 2; k++) {
      int row = transposed ? lane % 4 * 2 + k : lane / 4, column = transposed ? lane / 4 : lane % 4 * 2 + k;
      unsigned begin = lane_of_warp(i * 8 + row).published[0];
      if (begin % 16) fault("misaligned: ldmatrix reads a row at shared+%u", begin);
      char* element = shared_at(begin + column * 2, 2);
      emu_access(element, 2, EMU_READ);
      memcpy(&halves[k], element, 2);
    }
    registers[i] = halves[0] | (unsigned)halves[1] << 16;
  }
  emu_warp_barrier(line, ALL, 0);
}

void emu_mma_m16n8k16_f16(int line, float* d, const unsigned* a, const unsigned* b, const float* c) {
  publish(a, 4, b, 2);
  emu_warp_barrier(line, ALL, 0);
  multiply(line, d, c, 16, a_f16, b_f16);
}

void emu_mma_m16n8k8_tf32(int line, float* d, const unsigned* a, const unsigned* b, const float* c) {
  publish(a, 4, b, 2);
  emu_warp_barrier(line, ALL, 0);
  multiply(line, d, c, 8, a_tf32, b_tf32);
}

unsigned emu_round_tf32(float value) {
  unsigned bits;
  memcpy(&bits, &value, 4);
  bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  return finite ? (bits + 0x1000u) & 0xffffe000u : bits;
}

static void land(const Copy& copy) {
  char* to = shared_at(copy.shared, copy.bytes);
  memcpy(to, copy.global, copy.filled);
  memset(to + copy.filled, 0, copy.bytes - copy.filled);
}

// A copy may happen at any time until it is waited for: at once in odd orders, at the wait in even ones.
void emu_cp_async(unsigned shared, const void* global, int bytes, int filled) {
  if (shared % bytes) fault("misaligned: cp.async of %d bytes to shared+%u", bytes, shared);
  if (filled) emu_access(global, filled, EMU_READ);
  emu_access(shared_at(shared, bytes), bytes, EMU_WRITE);
  Copy copy{shared, (const char*)global, bytes, filled};
  if (order % 2) land(copy);
  shadow_pending(shared, bytes, 1);
  current->uncommitted.push_back(copy);
}

void emu_cp_async_commit() {
  current->groups.push_back(std::move(current->uncommitted));
  current->uncommitted.clear();
}

void emu_cp_async_wait(int pending) {
  while ((int)current->groups.size() > pending) {
    for (const Copy& copy : current->groups.front()) {
      shadow_pending(copy.shared, copy.bytes, -1);
      if (order % 2 == 0) land(copy);
      emu_access(arena + copy.shared, copy.bytes, EMU_WRITE);
    }
    current->groups.pop_front();
  }
}

void emu_store_shared(unsigned address, const unsigned* words, int count) {
  char* to = shared_at(address, 4 * count);
  emu_access(to, 4 * count, EMU_WRITE);
  memcpy(to, words, 4 * count);
}
}
