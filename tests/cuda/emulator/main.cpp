// Runs one kernel: program GX GY GZ BX BY BZ DYNAMIC_BYTES ORDER (array|value):FILE...
// Arrays are written back to their files. Exit code 1 and a line for each fault where there are some.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "runtime.h"

extern "C" void emu_kernel(void**);

static constexpr size_t GUARD = 4096;  // around each array, and never to be touched

static std::vector<char> read_file(const char* path) {
  FILE* file = fopen(path, "rb");
  if (!file) abort();
  fseek(file, 0, SEEK_END);
  std::vector<char> bytes(ftell(file));
  rewind(file);
  if (fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) abort();
  fclose(file);
  return bytes;
}

static char* guarded(const std::vector<char>& bytes) {
  size_t rounded = (bytes.size() + 255) / 256 * 256;
  char* block = (char*)aligned_alloc(GUARD, (rounded + 3 * GUARD - 1) / GUARD * GUARD);
  memcpy(block + GUARD, bytes.data(), bytes.size());
  if (__asan_poison_memory_region) {
    __asan_poison_memory_region(block, GUARD);
    __asan_poison_memory_region(block + GUARD + bytes.size(), rounded - bytes.size() + GUARD);
  }
  return block + GUARD;
}

int main(int count, char** words) {
  EmuLaunch launch;
  unsigned* numbers = (unsigned*)&launch;
  for (int i = 0; i < 7; i++) numbers[i] = atoi(words[1 + i]);
  launch.order = atoi(words[8]);
  struct Array {
    char* address;
    size_t bytes;
    const char* path;
  };
  std::vector<Array> arrays;
  std::vector<std::vector<char>> values;
  std::vector<void*> arguments;
  values.reserve(count);
  arrays.reserve(count);
  for (int i = 9; i < count; i++) {
    const char* path = strchr(words[i], ':') + 1;
    values.push_back(read_file(path));
    if (words[i][0] == 'v') {
      arguments.push_back(values.back().data());
      continue;
    }
    const char* name = strrchr(path, '/') + 1;
    arrays.push_back({guarded(values.back()), values.back().size(), path});
    emu_register_buffer(arrays.back().address, arrays.back().bytes, name);
    arguments.push_back(&arrays.back().address);
  }
  int faults = emu_launch(emu_kernel, &launch, arguments.data());
  fputs(emu_faults(), stderr);
  for (const Array& array : arrays) {
    FILE* file = fopen(array.path, "wb");
    fwrite(array.address, 1, array.bytes, file);
    fclose(file);
  }
  return faults ? 1 : 0;
}
