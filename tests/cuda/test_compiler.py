"""Kernels are compiled for several architectures without a GPU, and kept."""

from __future__ import annotations

import threading

import pytest

from lascompile.cuda import nvrtc, ptxas
from lascompile.cuda.compiler import CompiledKernel, cache_folder, class_of, compile_kernels
from lascompile.cuda.ptxas import Build, Resources, read_resources
from lascompile.cuda.source import KernelSource, Launch, emit_source
from lascompile.errors import ToolchainError
from lascompile.target import CudaTarget
from tests.cuda.kernels import SPILLS, gathered_product

pytest.importorskip("cuda.bindings", reason="the extra 'cuda' is not installed")

CUBIN, ELF_MACHINE_CUDA = b"\x7fELF", 190
CLASSES = {62: ("sm_62",), 70: ("sm_70", "sm_72", "sm_75"), 80: ("sm_80", "sm_86", "sm_87", "sm_89", "sm_90")}


def targets(*archs: str) -> list[CudaTarget]:
    return [CudaTarget(arch) for arch in archs]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("cubins")


@pytest.fixture(scope="module")
def compiled(kept) -> dict[str, CompiledKernel]:
    """The kernel of these tests by architecture, one of each class."""
    found = {}
    for archs in CLASSES.values():
        source = emit_source(gathered_product(), CudaTarget(archs[0]))
        found[archs[-1]] = compile_kernels([source], targets(archs[-1]), kept)[0]
    return found


def test_classes():
    assert {arch: class_of(CudaTarget(arch).capability) for archs in CLASSES.values() for arch in archs} == {
        arch: lowest for lowest, archs in CLASSES.items() for arch in archs
    }


def test_cubins_are_of_their_architecture(compiled):
    for arch, kernel in compiled.items():
        cubin = kernel.builds[arch].cubin
        assert cubin[:4] == CUBIN
        assert int.from_bytes(cubin[18:20], "little") == ELF_MACHINE_CUDA
        assert int.from_bytes(cubin[48:52], "little") & 0xFF == CudaTarget(arch).capability
        assert b".entry kernel_kernel" in kernel.ptx


def test_resources_and_occupancy(compiled):
    for arch, kernel in compiled.items():
        resources = kernel.builds[arch].resources["kernel_kernel"]
        assert resources.shared_bytes == 16 * 16 * 4
        assert 8 <= resources.registers <= 255
        assert resources.stack_bytes == resources.spill_store_bytes == resources.spill_load_bytes == 0
        (occupancy,) = kernel.occupancies(CudaTarget(arch))
        assert occupancy.blocks >= 4
        assert kernel.why_not(CudaTarget(arch)) is None


def test_what_is_kept_is_not_compiled_again(compiled, kept, monkeypatch):
    def refuse(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(nvrtc, "compile_ptx", refuse)
    monkeypatch.setattr("lascompile.cuda.compiler.assemble", refuse)
    source = compiled["sm_90"].source
    assert compile_kernels([source, source], targets("sm_90"), kept) == [compiled["sm_90"]] * 2


def test_several_at_once_share_a_folder(compiled, tmp_path):
    source = compiled["sm_90"].source
    results = []

    def compile_it() -> None:
        results.append(compile_kernels([source], targets("sm_80", "sm_90"), tmp_path)[0])

    threads = [threading.Thread(target=compile_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert results[0] == results[1] == results[2]
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".cubin", ".cubin", ".ptx"]


def test_a_kernel_that_spills_is_not_to_be_chosen(kept):
    source = KernelSource(SPILLS, (Launch("spills", (0, 1), (1, 1, 1), (1024, 1, 1), 0),))
    (kernel,) = compile_kernels([source], targets("sm_80"), kept)
    resources = kernel.builds["sm_80"].resources["spills"]
    assert resources.registers <= 32
    assert kernel.why_not(CudaTarget("sm_80")) == f"spills {resources.spill_store_bytes} bytes a thread"


@pytest.mark.parametrize(
    ("resources", "launch", "arch", "told"),
    [
        ((128, 0), (1, 1024, 0), "sm_80", "takes 128 registers a thread, too many for 1024 threads"),
        ((64, 0), (1, 1024, 0), "sm_62", "takes 64 registers a thread, too many for 1024 threads"),
        ((64, 0), (1, 1024, 0), "sm_70", None),
        ((32, 0), (1, 2048, 0), "sm_70", "has 2048 threads a block, of 1024 at most"),
        ((32, 1024), (1, 256, 100 << 10), "sm_70", "takes 103424 bytes of shared memory a block, of 98304 at most"),
        ((32, 1024), (1, 256, 100 << 10), "sm_80", None),
        ((32, 50 << 10), (1, 256, 0), "sm_80", "takes 51200 bytes of shared memory a block, of 49152 at most"),
    ],
)
def test_a_kernel_that_cannot_be_launched_is_not_to_be_chosen(resources, launch, arch, told):
    registers, shared = resources
    grid, threads, dynamic = launch
    source = KernelSource("", (Launch("k", (), (grid, 1, 1), (threads, 1, 1), dynamic),))
    build = Build(b"", {"k": Resources(registers, shared, 0, 0, 0)})
    assert CompiledKernel(source, b"", {arch: build}).why_not(CudaTarget(arch)) == told


def test_targets_of_several_classes_are_refused():
    with pytest.raises(ValueError, match="targets of several classes: sm_70, sm_80"):
        compile_kernels([], targets("sm_70", "sm_80"))


def test_a_source_that_is_no_cuda(tmp_path):
    with pytest.raises(ToolchainError, match="NVRTC refuses a kernel for compute_80: (?s:.)*nonsense;"):
        compile_kernels([KernelSource("nonsense;", ())], targets("sm_80"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_ptx_that_an_architecture_does_not_have(compiled):
    with pytest.raises(ToolchainError, match="ptxas refuses a kernel for sm_70"):
        ptxas.assemble(compiled["sm_90"].ptx, "sm_70")


def test_several_kernels_of_one_text_are_told_apart():
    told = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'a' for 'sm_80'
ptxas info    : Function properties for a
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 8192 bytes smem, 392 bytes cmem[0]
ptxas info    : Compiling entry function 'b' for 'sm_80'
ptxas info    : Function properties for b
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, 392 bytes cmem[0]
"""
    assert read_resources(told) == {"a": Resources(255, 8192, 8, 4, 12), "b": Resources(10, 0, 0, 0, 0)}


def test_the_cache_lies_with_the_other_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lascompile" / "cubins"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder().parts[-3:] == (".cache", "lascompile", "cubins")


@pytest.mark.slow
def test_every_architecture(tmp_path):
    for archs in CLASSES.values():
        source = emit_source(gathered_product(), CudaTarget(archs[0]))
        (kernel,) = compile_kernels([source], targets(*archs), tmp_path)
        assert list(kernel.builds) == list(archs)
        assert all(kernel.why_not(target) is None for target in targets(*archs))
