"""Real cubins, loaded through NVIDIA's bindings, run on a machine without a GPU; what must not wait is seen waiting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lascompile.cuda import CompiledKernel, compile_kernels, emit_source
from lascompile.target import CudaTarget
from tests.cuda.emulator import available
from tests.cuda.fake_driver import fake_driver, log
from tests.cuda.kernels import arguments, gathered_product

pytest.importorskip("cuda.bindings", reason="the extra 'cuda' is not installed")
pytestmark = pytest.mark.skipif(available() is not None, reason=available() or "")

PROGRAM = """
import sys
import numpy as np
from cuda.bindings import driver

def ok(answer):
    error, *values = answer
    assert error == driver.CUresult.CUDA_SUCCESS, error
    return values[0] if values else None

ok(driver.cuInit(0))
device = ok(driver.cuDeviceGet(0))
ok(driver.cuCtxSetCurrent(ok(driver.cuDevicePrimaryCtxRetain(device))))
given = dict(np.load("arguments.npz"))
memory = {name: ok(driver.cuMemAlloc(array.nbytes)) for name, array in given.items()}
for name, array in given.items():
    ok(driver.cuMemcpyHtoD(memory[name], array.ctypes.data, array.nbytes))
module = ok(driver.cuModuleLoadData(open("kernel.cubin", "rb").read()))
kernel = ok(driver.cuModuleGetFunction(module, b"kernel_kernel"))
ordered = [memory[name] for name in sys.argv[1].split(",")]
pointers = np.array([int(pointer) for pointer in ordered], "uint64")
addresses = np.array([pointers[i:].ctypes.data for i in range(len(pointers))], "uint64")
stream = ok(driver.cuStreamCreate(0))

def launch():
    ok(driver.cuLaunchKernel(kernel, 4, 1, 1, 16, 16, 1, 0, stream, addresses.ctypes.data, 0))

def result():
    y = np.empty_like(given["y"])
    ok(driver.cuMemcpyDtoH(y.ctypes.data, memory["y"], y.nbytes))
    return y
"""

CAPTURED = """
ok(driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL))
launch()
graph = ok(driver.cuGraphInstantiate(ok(driver.cuStreamEndCapture(stream)), 0))
assert np.isnan(result()).all()
ok(driver.cuGraphLaunch(graph, stream))
ok(driver.cuStreamSynchronize(stream))
np.save("y.npy", result())
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory) -> CompiledKernel:
    source = emit_source(gathered_product(), CudaTarget("sm_70"))
    return compile_kernels([source], [CudaTarget("sm_70")], tmp_path_factory.mktemp("cubins"))[0]


def run(folder: Path, kernel: CompiledKernel, steps: str, text: str | None = None, mode: str = "fast"):
    """Runs a program with `steps` at its end in `folder`; `text` in the place of the kernel's own source."""
    cubin = kernel.builds["sm_70"].cubin
    environment = fake_driver(folder, {cubin: text or kernel.source.text}, mode=mode)
    (folder / "kernel.cubin").write_bytes(cubin)
    given: dict[str, Any] = arguments()
    np.savez(folder / "arguments.npz", **given)
    (launch,) = kernel.source.launches
    names = ",".join(list(given)[position] for position in launch.arguments)
    command = [sys.executable, "-c", PROGRAM + steps, names]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", ["fast", "race"])
def test_a_cubin_runs_in_a_captured_graph(tmp_path, kernel, mode):
    done = run(tmp_path, kernel, CAPTURED, mode=mode)
    assert done.returncode == 0, done.stderr
    given = arguments()
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), given["x"][given["rows"]] @ given["w"], rtol=1e-4, atol=1e-5
    )
    told = [line for line in log(tmp_path) if not line.startswith(("cuMem", "cuModule"))]
    assert told == [
        "cuStreamBeginCapture",
        "capture kernel_kernel",
        "cuStreamEndCapture 1",
        "cuGraphLaunch",
        "cuStreamSynchronize",
    ]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("driver.cuStreamSynchronize(stream)", "cuStreamSynchronize"),
        ("driver.cuCtxSynchronize()", "cuCtxSynchronize"),
        ("driver.cuMemAlloc(16)", "cuMemAlloc"),
        ("driver.cuMemcpyDtoH(given['y'].ctypes.data, memory['y'], 4)", "cuMemcpyDtoH"),
    ],
)
def test_what_waits_while_a_stream_is_captured_fails_and_is_told(tmp_path, kernel, call, name):
    steps = f"""
ok(driver.cuStreamBeginCapture(stream, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL))
launch()
print({call}[0].name, driver.cuStreamEndCapture(stream)[0].name)
"""
    done = run(tmp_path, kernel, steps)
    assert done.stdout.split() == ["CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"]
    assert f"{name} while capturing" in log(tmp_path)


def test_a_fault_of_a_kernel_fails_the_launch(tmp_path, kernel):
    bad = kernel.source.text.replace("__syncthreads();", ";", 1)
    assert bad != kernel.source.text
    done = run(tmp_path, kernel, "launch()", bad, "race")
    assert "CUDA_ERROR_LAUNCH_FAILED" in done.stderr
    assert any(line.startswith("fault in kernel_kernel: race: ") for line in log(tmp_path))


def test_a_cubin_that_is_not_known_cannot_be_loaded(tmp_path, kernel):
    steps = """
cubin = bytearray(open("kernel.cubin", "rb").read())
cubin[200] ^= 1
print(driver.cuModuleLoadData(bytes(cubin))[0].name)
"""
    assert run(tmp_path, kernel, steps).stdout.split() == ["CUDA_ERROR_INVALID_IMAGE"]
