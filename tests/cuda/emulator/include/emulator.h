// What emulated kernels call of the runtime, and what loads and launches them.
#pragma once
#include <cstddef>
#include <cstdint>

#define EMU_UNCHECKED __attribute__((no_sanitize("thread")))

enum { EMU_READ, EMU_WRITE, EMU_ATOMIC };

extern "C" {
// Threads, warps and barriers (fibres.cpp). A line is that of the source: threads must meet at the same one.
void emu_block_barrier(int line);
void emu_warp_barrier(int line, unsigned mask, int orders_memory);
uint64_t emu_exchange(int line, unsigned mask, uint64_t value, int lane);
unsigned emu_ballot(int line, unsigned mask, int predicate);
unsigned emu_active_mask();
int emu_lane();

// Shared memory (fibres.cpp): arrays by number; the dynamic one lies at address 0.
char* emu_shared(int number, size_t bytes);
char* emu_dynamic_shared();
unsigned emu_shared_address(const void* pointer);

// Every access of an instrumented kernel (shadow.cpp).
void emu_access(const void* address, size_t bytes, int kind);

// Instructions that TVM writes as inline PTX (instructions.cpp); shared memory by address.
void emu_ldmatrix(int line, unsigned* registers, int matrices, int transposed, unsigned address);
void emu_mma_m16n8k16_f16(int line, float* d, const unsigned* a, const unsigned* b, const float* c);
void emu_mma_m16n8k8_tf32(int line, float* d, const unsigned* a, const unsigned* b, const float* c);
void emu_cp_async(unsigned shared, const void* global, int bytes, int filled);
void emu_cp_async_commit();
void emu_cp_async_wait(int pending);
void emu_store_shared(unsigned address, const unsigned* words, int count);
unsigned emu_round_tf32(float value);

// Launching (fibres.cpp). `arguments` as for cuLaunchKernel: a pointer to each. Returns how many faults were found.
struct EmuLaunch {
  unsigned grid[3], block[3], dynamic_bytes;
  int order;
};
int emu_launch(void (*kernel)(void**), const EmuLaunch* launch, void** arguments);
void emu_register_buffer(const void* address, size_t bytes, const char* name);
void emu_forget_buffer(const void* address);
const char* emu_faults();
}
