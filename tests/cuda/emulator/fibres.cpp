// Threads of a block as fibres: barriers, warp operations, shared memory, launches. x86-64, System V.
#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "runtime.h"

struct dim3 {
  unsigned x, y, z;
};
dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emu {

Fibre* current;
std::vector<Fibre> fibres;
int order, launch_number, block_number, block_run, epoch;
alignas(1024) char arena[ARENA_BYTES];

static void* scheduler_stack_pointer;
static void (*kernel_)(void**);
static void** arguments_;
static std::vector<int> warp_epochs;
static int faults;
static bool abandoned;
static std::string report;

struct Array {
  int number;
  size_t begin, end;
};
static std::vector<Array> arrays;

void fault(const char* format, ...) {
  if (++faults > 8) return;
  char text[400], where[200] = "";
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  if (current)
    snprintf(where, sizeof where, ", block (%u,%u,%u) thread %d, after the barrier of line %d", blockIdx.x, blockIdx.y,
             blockIdx.z, current->thread, current->line);
  report += std::string(text) + where + "\n";
}

int warp_epoch(int thread) { return warp_epochs[thread / WARP]; }

Fibre& lane_of_warp(int lane) { return fibres[current->thread / WARP * WARP + lane]; }

// Saves the registers that a function must keep, and goes on where the other stack was left.
asm(R"(
.globl emu_switch
emu_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
)");
extern "C" void emu_switch(void** save, void* to);

static void stop_at(State state, int line) {
  current->state = state;
  current->line = line;
  emu_switch(&current->stack_pointer, scheduler_stack_pointer);
}

static void entry() {
  kernel_(arguments_);
  bool copying = !current->uncommitted.empty();
  for (auto& group : current->groups) copying |= !group.empty();
  if (copying) fault("cp.async: a thread ended without waiting for its copies");
  stop_at(ENDED, 0);
  abort();
}

static void resume(Fibre& fibre) {
  current = &fibre;
  unsigned t = fibre.thread;
  threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
  emu_switch(&scheduler_stack_pointer, fibre.stack_pointer);
}

void abandon(const char* format, ...) {
  char text[400];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  fault("%s", text);
  abandoned = true;
  stop_at(current->state, current->line);
}

static void prepare(Fibre& fibre, int thread) {
  if (!fibre.stack)
    fibre.stack = (char*)mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  fibre.thread = thread;
  fibre.state = RUNNING;
  fibre.line = 0;
  fibre.groups.clear();
  fibre.uncommitted.clear();
  // The stack as emu_switch leaves it: six registers below the address to return to, which is 16-byte aligned.
  void** top = (void**)(fibre.stack + STACK_BYTES) - 2;
  *top = (void*)entry;
  fibre.stack_pointer = top - 6;
}

// Lets lanes of a warp go on whose operation has everybody of its mask; false where there are none.
static bool release(int first, int end) {
  bool released = false;
  for (int thread = first; thread < end; thread++) {
    Fibre& fibre = fibres[thread];
    if (fibre.state != AT_WARP_OP) continue;
    auto takes_part = [&](int t) { return fibre.mask >> (t - first) & 1 && fibres[t].state != ENDED; };
    auto is_there = [&](int t) {
      return fibres[t].state == AT_WARP_OP && fibres[t].line == fibre.line && fibres[t].mask == fibre.mask;
    };
    bool complete = takes_part(thread);
    for (int t = first; t < end; t++) complete &= !takes_part(t) || is_there(t);
    if (!complete) continue;
    if (fibre.orders_memory) warp_epochs[first / WARP]++;
    unsigned mask = fibre.mask;
    for (int t = first; t < end; t++)
      if (mask >> (t - first) & 1 && fibres[t].state == AT_WARP_OP) fibres[t].state = RUNNING;
    released = true;
  }
  return released;
}

static void run_warp(int warp) {
  int first = warp * WARP, end = std::min<int>(fibres.size(), first + WARP);
  do {
    for (int i = 0; i < end - first; i++) {
      Fibre& fibre = fibres[order % 2 ? end - 1 - i : first + i];
      if (fibre.state == RUNNING) resume(fibre);
      if (abandoned) return;
    }
  } while (release(first, end));
}

// Whether the threads of the block met; releases them. `ended` tells that the block is done.
static bool meet(bool& ended) {
  int waiting = 0, line = 0;
  for (Fibre& fibre : fibres) {
    if (fibre.state == AT_WARP_OP) {
      current = &fibre;
      fault("divergence at a warp operation of line %d: not all lanes of its mask came", fibre.line);
      return false;
    }
    if (fibre.state == AT_BARRIER) waiting++, line = fibre.line;
  }
  ended = waiting == 0;
  if (ended) return true;
  if (waiting != (int)fibres.size()) {
    fault("barrier divergence: %d of %zu threads reached line %d, the others ended", waiting, fibres.size(), line);
    return false;
  }
  for (Fibre& fibre : fibres) {
    if (fibre.line != line) {
      fault("barrier divergence: threads wait at lines %d and %d", fibre.line, line);
      return false;
    }
    fibre.state = RUNNING;
  }
  epoch++;
  return true;
}

static void clear_shared(size_t dynamic_bytes) {
  arrays.clear();
  if (__asan_poison_memory_region) __asan_poison_memory_region(arena, ARENA_BYTES);
  if (dynamic_bytes) emu_shared(-1, dynamic_bytes);
}

static bool run_block(std::vector<int>& warps, std::mt19937& random, size_t dynamic_bytes) {
  epoch++;
  block_run++;
  clear_shared(dynamic_bytes);
  for (size_t t = 0; t < fibres.size(); t++) prepare(fibres[t], t);
  std::fill(warp_epochs.begin(), warp_epochs.end(), 0);
  for (bool ended = false; !ended;) {
    if (order) std::shuffle(warps.begin(), warps.end(), random);
    for (int warp : warps) run_warp(warp);
    current = nullptr;
    if (abandoned || !meet(ended)) return false;
  }
  return true;
}

// NaN in floats of any width, which a kernel that reads before it wrote carries into its result.
static void fill_with_nan(char* p, size_t bytes) {
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(p, bytes);
  memset(p, 0xff, bytes);
}

bool inside_shared_array(size_t offset, size_t bytes) {
  for (const Array& array : arrays)
    if (offset >= array.begin && offset + bytes <= array.end) return true;
  return false;
}

}  // namespace emu

using namespace emu;

extern "C" {

void emu_block_barrier(int line) { stop_at(AT_BARRIER, line); }

void emu_warp_barrier(int line, unsigned mask, int orders_memory) {
  current->mask = mask;
  current->orders_memory = orders_memory;
  stop_at(AT_WARP_OP, line);
}

int emu_lane() { return current->thread % WARP; }

unsigned emu_active_mask() {
  unsigned mask = 0;
  for (int lane = 0; lane < WARP && current->thread / WARP * WARP + lane < (int)fibres.size(); lane++)
    if (lane_of_warp(lane).state != ENDED) mask |= 1u << lane;
  return mask;
}

uint64_t emu_exchange(int line, unsigned mask, uint64_t value, int lane) {
  current->published[0] = value;
  emu_warp_barrier(line, mask, 0);
  bool there = current->thread / WARP * WARP + lane < (int)fibres.size();
  if (!there || !(mask >> lane & 1)) {
    fault("shuffle of line %d reads lane %d, which takes no part", line, lane);
    there = false;
  }
  uint64_t result = there ? lane_of_warp(lane).published[0] : value;
  emu_warp_barrier(line, mask, 0);
  return result;
}

unsigned emu_ballot(int line, unsigned mask, int predicate) {
  current->published[0] = predicate;
  emu_warp_barrier(line, mask, 0);
  unsigned votes = 0;
  for (int lane = 0; lane < WARP && current->thread / WARP * WARP + lane < (int)fibres.size(); lane++)
    if (mask >> lane & 1 && lane_of_warp(lane).state != ENDED && lane_of_warp(lane).published[0]) votes |= 1u << lane;
  emu_warp_barrier(line, mask, 0);
  return votes;
}

char* emu_shared(int number, size_t bytes) {
  for (const Array& array : arrays)
    if (array.number == number) return arena + array.begin;
  size_t begin = arrays.empty() ? 0 : (arrays.back().end + 127) / 64 * 64;  // a gap that nobody may touch
  if (begin + bytes > ARENA_BYTES) {
    fprintf(stderr, "shared arrays of more than %zu bytes\n", ARENA_BYTES);
    abort();
  }
  arrays.push_back({number, begin, begin + bytes});
  fill_with_nan(arena + begin, bytes);
  return arena + begin;
}

char* emu_dynamic_shared() { return arena; }

unsigned emu_shared_address(const void* pointer) { return (const char*)pointer - arena; }

int emu_launch(void (*kernel)(void**), const EmuLaunch* launch, void** arguments) {
  kernel_ = kernel;
  arguments_ = arguments;
  order = launch->order;
  gridDim = {launch->grid[0], launch->grid[1], launch->grid[2]};
  blockDim = {launch->block[0], launch->block[1], launch->block[2]};
  faults = 0;
  abandoned = false;
  report.clear();
  launch_number++;
  fibres.resize(blockDim.x * blockDim.y * blockDim.z);
  warp_epochs.assign((fibres.size() + WARP - 1) / WARP, 0);
  std::vector<int> warps(warp_epochs.size());
  for (size_t i = 0; i < warps.size(); i++) warps[i] = i;
  std::mt19937 random(order);
  int blocks = gridDim.x * gridDim.y * gridDim.z;
  for (int i = 0; i < blocks && !faults; i++) {
    block_number = order % 2 ? blocks - 1 - i : i;
    blockIdx = {block_number % gridDim.x, block_number / gridDim.x % gridDim.y, block_number / gridDim.x / gridDim.y};
    if (!run_block(warps, random, launch->dynamic_bytes)) break;
  }
  current = nullptr;
  return faults;
}

const char* emu_faults() { return report.c_str(); }
}
