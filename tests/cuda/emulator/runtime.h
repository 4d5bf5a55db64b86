// Shared by the parts of the runtime. Compiled without instrumentation.
#pragma once
#include <deque>
#include <vector>

#include "include/emulator.h"

// Present where the kernel is compiled with AddressSanitizer.
extern "C" __attribute__((weak)) void __asan_poison_memory_region(const volatile void*, size_t);
extern "C" __attribute__((weak)) void __asan_unpoison_memory_region(const volatile void*, size_t);

namespace emu {

constexpr int WARP = 32;
constexpr size_t STACK_BYTES = 256 << 10;
constexpr size_t ARENA_BYTES = 512 << 10;
constexpr size_t GRAIN = 2;  // bytes that the shadow tells apart: the smallest value that kernels share out

struct Copy {
  unsigned shared;
  const char* global;
  int bytes, filled;
};

enum State { RUNNING, AT_WARP_OP, AT_BARRIER, ENDED };

// A thread of the block.
struct Fibre {
  void* stack_pointer;
  char* stack;
  int thread;
  State state;
  int line;
  unsigned mask;
  int orders_memory;
  uint64_t published[4];  // what the other lanes may read during a warp operation
  std::vector<Copy> uncommitted;
  std::deque<std::vector<Copy>> groups;
};

extern Fibre* current;
extern std::vector<Fibre> fibres;
extern int order;
extern char arena[ARENA_BYTES];

Fibre& lane_of_warp(int lane);
// A finding; the kernel goes on. `abandon` ends the launch, before an access that the CPU itself might not survive.
void fault(const char* format, ...) __attribute__((format(printf, 1, 2)));
void abandon(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Progress, by which the shadow tells whether two accesses are ordered.
extern int launch_number, block_number, block_run, epoch;  // block_run: how many blocks ran before, over all launches
int warp_epoch(int thread);

// Shared arrays of the running block: [begin, end) in the arena.
bool inside_shared_array(size_t offset, size_t bytes);
void shadow_pending(size_t offset, size_t bytes, int change);

}  // namespace emu
