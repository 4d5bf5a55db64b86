// Occupancy by NVIDIA's header. A line of numbers a case: capability, the device's limits, the kernel; blocks on stdout.
#include <cstdio>
#include <cuda_occupancy.h>

int main() {
  int capability, registers, shared, block_shared, block_registers, threads, reserved, used, fixed, dynamic, block;
  while (scanf("%d%d%d%d%d%d%d%d%d%d%d", &capability, &registers, &shared, &block_shared, &block_registers, &threads,
               &reserved, &used, &fixed, &dynamic, &block) == 11) {
    cudaOccDeviceProp device{};
    device.computeMajor = capability / 10;
    device.computeMinor = capability % 10;
    device.maxThreadsPerBlock = 1024;
    device.maxThreadsPerMultiprocessor = threads;
    device.regsPerBlock = block_registers;
    device.regsPerMultiprocessor = registers;
    device.warpSize = 32;
    device.sharedMemPerBlock = 48 << 10;
    device.sharedMemPerBlockOptin = block_shared;
    device.sharedMemPerMultiprocessor = shared;
    device.reservedSharedMemPerBlock = reserved;
    device.numSms = 1;
    cudaOccFuncAttributes kernel{};
    kernel.maxThreadsPerBlock = 1024;
    kernel.numRegs = used;
    kernel.sharedSizeBytes = fixed;
    kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
    kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    kernel.maxDynamicSharedSizeBytes = dynamic;
    cudaOccDeviceState state{};
    state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    cudaOccResult found{};
    cudaOccError error = cudaOccMaxActiveBlocksPerMultiprocessor(&found, &device, &kernel, &state, block, dynamic);
    printf("%d\n", error == CUDA_OCC_SUCCESS ? found.activeBlocksPerMultiprocessor : -1);
  }
}
