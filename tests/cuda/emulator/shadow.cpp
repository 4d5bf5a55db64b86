// The race detector and bounds of every access: its hooks take the place of ThreadSanitizer's runtime.
//
// For every two bytes it keeps who wrote last and who has read since. Two accesses of different threads, one of them a
// write, race unless something lies between them: another launch, a barrier of their block, or __syncwarp in their warp.
#include <dlfcn.h>

#include <map>
#include <string>

#include "runtime.h"

namespace emu {

constexpr int NOBODY = -1, SEVERAL = -2;

// When and by whom. Of several readers, as much as they have in common.
struct Stamp {
  int block = NOBODY, warp = NOBODY, thread = NOBODY, epoch = 0, warp_epoch = 0;
};

struct Cell {
  int generation = 0;
  Stamp writer, reader;
  bool atomic = false;
};

struct Buffer {
  size_t bytes;
  std::string name;
  std::vector<Cell> cells;
};

static std::map<const char*, Buffer> buffers;
static std::vector<Cell> shared_cells;
static unsigned char pending[ARENA_BYTES / GRAIN];

void shadow_pending(size_t offset, size_t bytes, int change) {
  for (size_t i = offset / GRAIN; i < (offset + bytes + GRAIN - 1) / GRAIN; i++) pending[i] += change;
}

static Stamp now() {
  int thread = current->thread;
  return {block_number, thread / WARP, thread, epoch, warp_epoch(thread)};
}

static bool unordered(const Stamp& before, const Stamp& me) {
  if (before.block == NOBODY) return false;
  if (before.block != me.block) return true;
  if (before.epoch != me.epoch || before.thread == me.thread) return false;
  return before.warp != me.warp || before.warp_epoch == me.warp_epoch;
}

static void add_reader(Stamp& readers, const Stamp& me) {
  if (readers.block == NOBODY || (readers.block == me.block && readers.epoch != me.epoch)) {
    readers = me;
    return;
  }
  bool same_warp = readers.block == me.block && readers.warp == me.warp;
  if (readers.block != me.block) readers.block = SEVERAL;
  if (!same_warp) {
    readers.warp = readers.thread = SEVERAL;
  } else if (readers.warp_epoch != me.warp_epoch) {
    readers = me;
  } else if (readers.thread != me.thread) {
    readers.thread = SEVERAL;
  }
}

static const char* touch(Cell& cell, int generation, const Stamp& me, int kind) {
  if (cell.generation != generation) cell = Cell{generation, {}, {}, false};
  bool both_atomic = kind == EMU_ATOMIC && cell.atomic;
  bool written = !both_atomic && unordered(cell.writer, me);
  if (kind == EMU_READ) {
    add_reader(cell.reader, me);
    return written ? "race: reads what another thread wrote" : nullptr;
  }
  bool read = unordered(cell.reader, me);
  cell.writer = me;
  cell.atomic = kind == EMU_ATOMIC;
  return written ? "race: writes what another thread wrote" : read ? "race: writes what another thread read" : nullptr;
}

// Accesses of an earlier `generation` (launch, or block in shared memory) count no more.
static void check(std::vector<Cell>& cells, size_t capacity, int generation, const char* name, size_t offset, size_t bytes,
                  int kind) {
  if (cells.empty()) cells.resize((capacity + GRAIN - 1) / GRAIN);
  Stamp me = now();
  for (size_t i = offset / GRAIN; i < (offset + bytes + GRAIN - 1) / GRAIN; i++)
    if (const char* race = touch(cells[i], generation, me, kind)) {
      fault("%s: %zu bytes at %s+%zu", race, bytes, name, offset);
      return;
    }
}

static void access_shared(size_t offset, size_t bytes, int kind) {
  if (!inside_shared_array(offset, bytes)) {
    abandon("out of bounds: %zu bytes at shared+%zu", bytes, offset);
  }
  for (size_t i = offset / GRAIN; i < (offset + bytes + GRAIN - 1) / GRAIN; i++)
    if (pending[i]) {
      fault("cp.async: touches what is still being copied: %zu bytes at shared+%zu", bytes, offset);
      return;
    }
  check(shared_cells, ARENA_BYTES, block_run, "shared", offset, bytes, kind);
}

// The buffer that an address belongs to, or lies next to.
static std::map<const char*, Buffer>::iterator nearest(const char* address) {
  auto after = buffers.upper_bound(address);
  if (after == buffers.begin()) return after;
  auto before = std::prev(after);
  bool beyond = address >= before->first + before->second.bytes;
  if (beyond && after != buffers.end() && after->first - address < address - (before->first + (long)before->second.bytes))
    return after;
  return before;
}

static void access_global(const char* address, size_t bytes, int kind) {
  auto found = nearest(address);
  if (found != buffers.end()) {
    Buffer& buffer = found->second;
    long offset = address - found->first;
    if (offset >= 0 && offset + bytes <= buffer.bytes) {
      check(buffer.cells, buffer.bytes, launch_number, buffer.name.c_str(), offset, bytes, kind);
      return;
    }
  }
  Dl_info image;  // a table of constants lies in the code's own image
  if (kind == EMU_READ && dladdr(address, &image)) return;
  if (found == buffers.end()) {
    abandon("out of bounds: %zu bytes at %p, no buffer", bytes, (const void*)address);
  } else {
    abandon("out of bounds: %zu bytes at %s%+ld, which has %zu", bytes, found->second.name.c_str(),
          (long)(address - found->first), found->second.bytes);
  }
}

}  // namespace emu

using namespace emu;

extern "C" {

void emu_access(const void* pointer, size_t bytes, int kind) {
  const char* address = (const char*)pointer;
  if (!current || (address >= current->stack && address < current->stack + STACK_BYTES)) return;
  if (bytes <= 16 && (uintptr_t)address % bytes) {
    abandon("misaligned: %zu bytes at %p", bytes, pointer);
  }
  if (address >= arena && address < arena + ARENA_BYTES) {
    access_shared(address - arena, bytes, kind);
  } else {
    access_global(address, bytes, kind);
  }
}

void emu_register_buffer(const void* address, size_t bytes, const char* name) {
  buffers[(const char*)address] = {bytes, name, {}};
}

void emu_forget_buffer(const void* address) { buffers.erase((const char*)address); }

#define HOOKS(BYTES)                                                                       \
  void __tsan_read##BYTES(void* p) { emu_access(p, BYTES, EMU_READ); }                     \
  void __tsan_write##BYTES(void* p) { emu_access(p, BYTES, EMU_WRITE); }                   \
  void __tsan_unaligned_read##BYTES(void* p) { emu_access(p, BYTES, EMU_READ); }           \
  void __tsan_unaligned_write##BYTES(void* p) { emu_access(p, BYTES, EMU_WRITE); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void* p, long bytes) { emu_access(p, bytes, EMU_READ); }
void __tsan_write_range(void* p, long bytes) { emu_access(p, bytes, EMU_WRITE); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit(void*) {}
}
