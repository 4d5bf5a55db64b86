// libcuda.so.1 without a GPU: memory is the host's, launches go through the emulator, a cubin stands for the library of
// emulated kernels that has its hash as name, graphs keep what was captured and run it when launched.
//
// Every call that a test may care about is a line of the file that FAKE_CUDA_LOG names. What waits for the device or
// allots memory while a stream is captured fails, and spoils the capture, as the real driver's does.
#include <cuda.h>
#include <dlfcn.h>

#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "emulator.h"

namespace {

struct Kernel {
  void (*run)(void**);
  const int* sizes;
  std::string name;
};

struct Graph {
  std::vector<std::function<CUresult()>> nodes;
};

struct Event {
  std::chrono::steady_clock::time_point time;
};

Graph* captured;
bool spoiled;

void log(const char* format, ...) {
  static FILE* file = getenv("FAKE_CUDA_LOG") ? fopen(getenv("FAKE_CUDA_LOG"), "a") : nullptr;
  if (!file) return;
  va_list values;
  va_start(values, format);
  vfprintf(file, format, values);
  va_end(values);
  fputc('\n', file);
  fflush(file);
}

int number(const char* variable, int otherwise) {
  const char* value = getenv(variable);
  return value ? atoi(value) : otherwise;
}

// What a stream does: now, or when the graph is launched that is being captured.
CUresult enqueue(std::function<CUresult()> work) {
  if (!captured) return work();
  captured->nodes.push_back(std::move(work));
  return CUDA_SUCCESS;
}

// For calls that no captured stream may make.
CUresult outside_capture(const char* call) {
  log("%s%s", call, captured ? " while capturing" : "");
  if (!captured) return CUDA_SUCCESS;
  spoiled = true;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

size_t elf_bytes(const char* image) {
  auto word = [&](int at) { return *(const unsigned long*)(image + at); };
  auto half = [&](int at) { return (size_t) * (const unsigned short*)(image + at); };
  size_t programs = word(32) + half(54) * half(56), sections = word(40) + half(58) * half(60);
  return programs > sections ? programs : sections;
}

unsigned long hash_of(const char* bytes, size_t count) {
  unsigned long hash = 14695981039346656037ul;
  for (size_t i = 0; i < count; i++) hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211ul;
  return hash;
}

CUresult launch(const Kernel* kernel, EmuLaunch how, std::vector<std::vector<char>> values) {
  std::vector<void*> arguments;
  for (auto& value : values) arguments.push_back(value.data());
  if (!emu_launch(kernel->run, &how, arguments.data())) return CUDA_SUCCESS;
  log("fault in %s: %s", kernel->name.c_str(), emu_faults());
  return CUDA_ERROR_LAUNCH_FAILED;
}

// The emulator's symbols, for the libraries of kernels.
__attribute__((constructor)) void share_symbols() {
  Dl_info self;
  if (dladdr((void*)share_symbols, &self)) dlopen(self.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuDriverGetVersion(int* version) { return *version = 12090, CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int) { return *device = 0, CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
CUresult cuDeviceGetName(char* name, int bytes, CUdevice) { return snprintf(name, bytes, "emulated"), CUDA_SUCCESS; }

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  int capability = number("FAKE_CUDA_CAPABILITY", 70);
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = capability / 10; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = capability % 10; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 4; break;
    default: return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) { return *context = (CUcontext)16, CUDA_SUCCESS; }
CUresult cuDevicePrimaryCtxRelease(CUdevice) { return CUDA_SUCCESS; }
CUresult cuCtxSetCurrent(CUcontext) { return CUDA_SUCCESS; }
CUresult cuCtxGetCurrent(CUcontext* context) { return *context = (CUcontext)16, CUDA_SUCCESS; }
CUresult cuCtxSynchronize() { return outside_capture("cuCtxSynchronize"); }

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  size_t bytes = elf_bytes((const char*)image);
  char path[4096];
  snprintf(path, sizeof path, "%s/%016lx.so", getenv("FAKE_CUDA_KERNELS"), hash_of((const char*)image, bytes));
  *module = (CUmodule)dlopen(path, RTLD_NOW);
  log("cuModuleLoadData %zu%s", bytes, *module ? "" : " unknown");
  if (!*module) log("%s", dlerror());
  return *module ? CUDA_SUCCESS : CUDA_ERROR_INVALID_IMAGE;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  void* run = dlsym((void*)module, (std::string("emu_kernel_") + name).c_str());
  void* sizes = dlsym((void*)module, (std::string("emu_sizes_") + name).c_str());
  if (!run || !sizes) return CUDA_ERROR_NOT_FOUND;
  *function = (CUfunction) new Kernel{(void (*)(void**))run, (const int*)sizes, name};
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }

CUresult cuMemAlloc(CUdeviceptr* pointer, size_t bytes) {
  if (CUresult error = outside_capture("cuMemAlloc")) return error;
  size_t rounded = (bytes + 4095) / 4096 * 4096;
  char* memory = (char*)aligned_alloc(4096, rounded + 8192) + 4096;
  memset(memory, 0xff, rounded);
  emu_register_buffer(memory, bytes, "device memory");
  *pointer = (CUdeviceptr)memory;
  return CUDA_SUCCESS;
}
CUresult cuMemFree(CUdeviceptr pointer) {
  if (CUresult error = outside_capture("cuMemFree")) return error;
  emu_forget_buffer((void*)pointer);
  free((char*)pointer - 4096);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
  if (CUresult error = outside_capture("cuMemcpyHtoD")) return error;
  return memcpy((void*)to, from, bytes), CUDA_SUCCESS;
}
CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
  if (CUresult error = outside_capture("cuMemcpyDtoH")) return error;
  return memcpy(to, (void*)from, bytes), CUDA_SUCCESS;
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream) {
  return enqueue([=] { return memcpy((void*)to, (void*)from, bytes), CUDA_SUCCESS; });
}
CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream) {
  return enqueue([=] { return memcpy((void*)to, from, bytes), CUDA_SUCCESS; });
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream) {
  return enqueue([=] { return memcpy(to, (void*)from, bytes), CUDA_SUCCESS; });
}

CUresult cuLaunchKernel(CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, CUstream, void** arguments, void**) {
  const Kernel* kernel = (const Kernel*)function;
  std::vector<std::vector<char>> values;
  for (int i = 0; kernel->sizes[i]; i++)
    values.emplace_back((char*)arguments[i], (char*)arguments[i] + kernel->sizes[i]);
  EmuLaunch how{{gx, gy, gz}, {bx, by, bz}, shared, number("FAKE_CUDA_ORDER", 0)};
  log("%s %s", captured ? "capture" : "launch", kernel->name.c_str());
  return enqueue([=] { return launch(kernel, how, values); });
}

CUresult cuStreamCreate(CUstream* stream, unsigned) { return *stream = (CUstream)32, CUDA_SUCCESS; }
CUresult cuStreamDestroy(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream) { return outside_capture("cuStreamSynchronize"); }
CUresult cuStreamBeginCapture(CUstream, CUstreamCaptureMode) {
  log("cuStreamBeginCapture");
  captured = new Graph;
  spoiled = false;
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream, CUgraph* graph) {
  log("cuStreamEndCapture %zu", captured->nodes.size());
  *graph = spoiled ? nullptr : (CUgraph)captured;
  captured = nullptr;
  return spoiled ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph, unsigned long long) {
  return *executable = (CUgraphExec) new Graph(*(Graph*)graph), CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream) {
  log("cuGraphLaunch");
  for (auto& node : ((Graph*)executable)->nodes)
    if (CUresult error = node()) return error;
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) { return delete (Graph*)graph, CUDA_SUCCESS; }
CUresult cuGraphExecDestroy(CUgraphExec executable) { return delete (Graph*)executable, CUDA_SUCCESS; }

CUresult cuEventCreate(CUevent* event, unsigned) { return *event = (CUevent) new Event, CUDA_SUCCESS; }
CUresult cuEventDestroy(CUevent event) { return delete (Event*)event, CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent event, CUstream) {
  return enqueue([=] { return ((Event*)event)->time = std::chrono::steady_clock::now(), CUDA_SUCCESS; });
}
CUresult cuEventSynchronize(CUevent) { return outside_capture("cuEventSynchronize"); }
CUresult cuEventElapsedTime(float* milliseconds, CUevent begin, CUevent end) {
  *milliseconds = std::chrono::duration<float, std::milli>(((Event*)end)->time - ((Event*)begin)->time).count();
  return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char** name) {
  static char text[32];
  snprintf(text, sizeof text, "CUDA error %d", error);
  return *name = text, CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult error, const char** text) { return cuGetErrorName(error, text); }

// NVIDIA's bindings ask for each function by its name without a version; the header may have given it one.
static void* find(const std::string& name) {
  if (name == "cuGraphInstantiate") return (void*)cuGraphInstantiateWithFlags;
  void* function = dlsym(RTLD_DEFAULT, name.c_str());
  return function ? function : dlsym(RTLD_DEFAULT, (name + "_v2").c_str());
}

CUresult cuGetProcAddress_v2(const char* name, void** function, int, cuuint64_t, CUdriverProcAddressQueryResult* found) {
  *function = find(name);
  if (found) *found = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
}
