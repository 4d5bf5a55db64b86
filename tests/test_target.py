from __future__ import annotations

import dataclasses
import platform

import pytest

from lascompile import cpu
from lascompile.cpu import cpu_supports, physical_cores
from lascompile.errors import DeviceError, UsageError
from lascompile.target import (
    CpuTarget,
    CudaTarget,
    Target,
    check_runs_here,
    parse_target,
    parse_targets,
    parsing,
    runs_here,
)

AARCH64 = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a78"


def test_native_is_this_cpu_with_what_the_system_reports():
    found = parse_target("llvm")
    assert found.kind == "llvm"
    assert found.mcpu != "native"
    assert found.mtriple == f"{platform.machine()}-linux-gnu"
    assert set(found.features) == cpu.host_features()
    assert cpu_supports(found.features) == []


@pytest.mark.parametrize(
    ("text", "isa", "bits", "registers", "lanes"),
    [
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64", "x86", 128, 16, 4),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell", "x86", 256, 16, 8),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512", "x86", 512, 32, 16),
        ("llvm -mtriple=x86_64-linux-gnu -mcpu=znver5", "x86", 512, 32, 16),
        (AARCH64, "arm", 128, 32, 4),
        ("llvm -mtriple=aarch64-linux-gnu", "arm", 128, 32, 4),
    ],
)
def test_what_schedules_ask_of_a_target(text, isa, bits, registers, lanes):
    found = parse_target(text)
    assert (found.isa, found.vector_bits, found.vector_registers) == (isa, bits, registers)
    assert found.lanes == lanes


@pytest.mark.parametrize(
    ("arch", "capability", "shared", "threads"),
    [("sm_62", 62, 65536, 2048), ("sm_70", 70, 98304, 2048), ("sm_87", 87, 167936, 1536), ("sm_90a", 90, 233472, 2048)],
)
def test_what_schedules_ask_of_a_gpu(arch, capability, shared, threads):
    found = parse_target(f"cuda -arch={arch}")
    assert isinstance(found, CudaTarget) and found.capability == capability
    assert (found.limits.shared_bytes, found.limits.threads) == (shared, threads)
    assert found.limits.block_shared_bytes <= found.limits.shared_bytes


@pytest.mark.parametrize(
    ("arch", "archs"),
    [
        ("sm_62", ["sm_62"]),
        ("8.7", ["sm_87"]),
        ("90", ["sm_90"]),
        ("sm_90a", ["sm_90a"]),
        ("12.0,sm_100", ["sm_120", "sm_100"]),
        ("jetson-tx2,v100,jetson-xavier", ["sm_62", "sm_70", "sm_72"]),
        ("A100,rtx3090,jetson-orin,H100", ["sm_80", "sm_86", "sm_87", "sm_90"]),
        ("sm_70, sm_87,7.0", ["sm_70", "sm_87"]),
        ("nvidia/jetson-agx-xavier,8.9", ["sm_72", "sm_89"]),
        ("sm_62,sm_70,sm_72,7.5,80,86,87,89,90", [f"sm_{n}" for n in (62, 70, 72, 75, 80, 86, 87, 89, 90)]),
    ],
)
def test_spellings_of_architectures(arch, archs):
    found = parse_targets(f"cuda '-arch={arch}'")
    assert found == tuple(CudaTarget(each) for each in archs)
    assert all(target.limits for target in found)


def test_one_target_is_several_of_one():
    assert parse_targets("llvm -mcpu=haswell") == (parse_target("llvm -mcpu=haswell"),)
    assert parse_target("cuda -arch=jetson-orin") == CudaTarget("sm_87")


def test_a_gpu_newer_than_the_table_may_ask_for_what_the_newest_one_may():
    assert CudaTarget("sm_100").limits == CudaTarget("sm_90").limits
    assert CudaTarget("sm_88").limits == CudaTarget("sm_87").limits


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("llvm -mcpu=haswell", "llvm --mcpu=haswell"),
        ("llvm -mcpu=haswell", '{"kind": "llvm", "mcpu": "haswell"}'),
        ("llvm -mattr=+sse4a,-fma", '{"kind": "llvm", "mattr": ["+sse4a", "-fma"]}'),
        ("cuda -arch=sm_62", "nvidia/jetson-tx2"),
        ("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72 -mattr=+neon", "raspberry-pi/4b-aarch64"),
    ],
)
def test_spellings_of_one_target(text, same):
    assert parse_target(text) == parse_target(same)


@pytest.mark.parametrize("text", ["llvm", "llvm -mcpu=haswell -mattr=+avx512f", AARCH64, "cuda -arch=sm_90a"])
def test_a_target_is_written_as_it_is_read(text):
    found = parse_target(text)
    assert parse_target(str(found)) == found


def test_mcpu_fills_in_the_cpu():
    assert parse_target("llvm", mcpu="haswell") == parse_target("llvm -mcpu=haswell")
    assert parse_target("llvm -mcpu=haswell", mcpu="haswell").mcpu == "haswell"


def test_attributes_change_what_a_cpu_must_have():
    without = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512 -mattr=-avx512f")
    assert without.vector_bits == 256
    assert not [name for name in without.features if name.startswith("avx512")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("",), "write it as 'llvm -mcpu=haswell'"),
        (("llvm mcpu=haswell",), "cannot read 'mcpu=haswell', write options as -name=value"),
        (("llvm -mcpu",), "cannot read '-mcpu'"),
        (("llvm -keys=cpu",), "unknown option keys (llvm has: mcpu, mtriple, mattr)"),
        (('{"kind": "llvm"',), "is not a JSON object"),
        (('{"kind": "llvm", "num-cores": 2}',), "unknown option num-cores"),
        (('{"kind": "llvm", "mcpu": 7}',), "mcpu must be a string, got 7"),
        (("llvm -mattr=avx2",), "cannot read 'avx2' in mattr, write +name or -name"),
        (('{"kind": "llvm", "mattr": [1]}',), "cannot read 1 in mattr"),
        (("llvm -mcpu=haswell", "znver4"), "give one of them"),
        (("cuda",), "write it as 'cuda -arch=sm_70'"),
        (("cuda -arch=compute_70",), "no such GPU architecture 'compute_70' (sm_62, 8.7, one of TVM's tags, or v100, "),
        (("cuda -arch=jetson-orinn",), "no such GPU architecture 'jetson-orinn' (did you mean jetson-orin"),
        (("cuda -arch=sm_70,",), "no such GPU architecture ''"),
        (("cuda -arch=raspberry-pi/4b-aarch64",), "no such GPU architecture 'raspberry-pi/4b-aarch64'"),
        (("cuda -arch=5.2",), "GPU architecture '5.2': too old, the oldest that code is made for is sm_53"),
        (("cuda -arch=sm_70,sm_87",), "names several architectures (sm_70, sm_87): give one of them"),
        (("vulkan",), "no such kind 'vulkan' (allowed: llvm, cuda)"),
        (("llvm", "hasswell"), "(did you mean haswell?)"),
        (("llvm -mtriple=aarch64-linux-gnu -mcpu=haswell",), "LLVM knows none of that name for aarch64-linux-gnu"),
        (
            ("llvm -mtriple=x86_64-linux-gnu", "cortex-a72"),
            ", but an aarch64 one: give --target 'llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72'",
        ),
        (("llvm -mtriple=aarch64-linux-gnu", "haswell"), "'llvm -mtriple=x86_64-linux-gnu -mcpu=haswell'"),
        (("llvm -mtriple=riscv64-linux-gnu",), "no code for 'riscv64' (allowed: x86_64,"),
        (("nvidia/jetson-tx3",), "nvidia/jetson-tx2"),
        (("qcom/hexagon-v75",), "no such kind 'hexagon'"),
    ],
)
def test_errors_say_what_is_allowed(arguments, says):
    with pytest.raises(UsageError) as caught:
        parse_target(*arguments)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hidden_instruction_set_is_not_used(monkeypatch):
    """A virtual machine whose CPU is known to LLVM as more than what the hypervisor shows."""
    everything = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512")
    shown = frozenset(name for name in everything.features if not name.startswith("avx512"))
    found = native_x86(monkeypatch, "skylake-avx512", shown)
    assert set(found.features) == shown
    assert found.vector_bits == 256
    assert "-avx512f" in found.mattr


def test_a_cpu_that_llvm_does_not_know_uses_all_it_has(monkeypatch):
    known = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell")
    found = native_x86(monkeypatch, "x86-64", frozenset(known.features))
    assert (found.features, found.vector_bits) == (known.features, 256)
    assert "+avx2" in found.mattr


def native_x86(monkeypatch, name, features) -> Target:
    from tvm.target import codegen

    monkeypatch.setattr(codegen, "llvm_get_system_cpu", lambda: name)
    monkeypatch.setattr(parsing, "host_features", lambda: features)
    monkeypatch.setattr(parsing, "processor", lambda: "x86_64")
    return parse_target("llvm")


@pytest.mark.parametrize("text", ["llvm", AARCH64, "cuda -arch=sm_70"])
def test_tvm_takes_it(text):
    found = parse_target(text)
    as_tvm = found.to_tvm()
    assert as_tvm.kind.name == found.kind
    if found.kind == "llvm":
        assert (as_tvm.attrs["mcpu"], as_tvm.attrs["mtriple"]) == (found.mcpu, found.mtriple)


def test_wide_vectors_become_wide_instructions():
    """LLVM prefers 256 bits on some CPUs with 512; that must not touch vectors that a schedule asks for."""
    import tvm
    from tvm import te

    x = te.placeholder((64,), name="x")
    y = te.compute((64,), lambda i: x[i] * x[i], name="y")
    schedule = tvm.s_tir.Schedule(te.create_prim_func([x, y]))
    _, lane = schedule.split(schedule.get_loops(schedule.get_sblock("y"))[0], [None, 16])
    schedule.vectorize(lane)
    found = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=skylake-avx512")
    assembly = tvm.compile(schedule.mod, target=found.to_tvm()).mod.inspect_source("asm")
    assert "zmm" in assembly


def test_a_manifest_records_what_a_cpu_must_have():
    record = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell").to_dict()
    assert {**record, "features": None} == {
        "kind": "llvm",
        "mcpu": "haswell",
        "mtriple": "x86_64-linux-gnu",
        "features": None,
        "vector_bits": 256,
    }
    assert {"avx2", "fma"} <= set(record["features"])
    assert parse_target("cuda -arch=sm_70").to_dict() == {"kind": "cuda", "arch": "sm_70"}


def test_targets_are_values():
    assert len({parse_target("llvm -mcpu=haswell"), parse_target("llvm -mcpu=haswell")}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse_target("cuda -arch=sm_70").arch = "sm_72"


def test_missing_features_are_named_in_order(monkeypatch):
    monkeypatch.setattr(cpu, "host_features", lambda: frozenset({"avx2", "fma"}))
    assert cpu_supports(["avx512f", "fma", "avx512vl"]) == ["avx512f", "avx512vl"]
    monkeypatch.setattr(cpu, "host_features", lambda: None)
    assert cpu_supports(["avx512f"]) == []


X86_INFO = """\
processor\t: 0
model name\t: A CPU
flags\t\t: fpu sse sse2 pni ssse3 avx avx2 fma avx512_vnni abm
processor\t: 1
model name\t: A CPU
flags\t\t: fpu sse sse2 pni ssse3 avx avx2 fma abm
"""
# What QEMU tells of these CPUs in words 16 and 26 of the auxiliary vector.
CORTEX_A57 = {16: 0x8FB, 26: 0}
CORTEX_A76 = {16: 0x119FFB, 26: 0}
ALL_OF_ARM = {16: 0xFFFFFFFF, 26: 0xFFFFFFFF}


@pytest.mark.parametrize(
    ("info", "features"),
    [
        (X86_INFO, {"sse3", "ssse3", "avx", "avx2", "fma", "lzcnt"}),
        ("", set()),
    ],
)
def test_features_are_those_that_all_cores_have(info, features, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(info)
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu, "processor", lambda: "x86_64")
    assert cpu.host_features.__wrapped__() == features


@pytest.mark.parametrize(
    ("words", "features"),
    [
        (CORTEX_A57, {"fp-armv8", "neon"}),
        (CORTEX_A76, {"fp-armv8", "neon", "fullfp16", "lse", "rdm", "rcpc", "dotprod"}),
        (ALL_OF_ARM, set(cpu.ARM_FEATURES)),
    ],
)
def test_features_of_arm(words, features, monkeypatch):
    monkeypatch.setattr(cpu, "_auxiliary_vector", lambda: words)
    monkeypatch.setattr(cpu, "processor", lambda: "aarch64")
    assert cpu.host_features.__wrapped__() == features


def test_what_is_built_for_another_machine_cannot_run_here(monkeypatch):
    monkeypatch.setattr(runs_here, "processor", lambda: "x86_64")
    monkeypatch.setattr(runs_here, "cpu_supports", lambda features: [name for name in features if name == "avx512f"])
    check_runs_here(CpuTarget("haswell", "x86_64-linux-gnu", ("avx2",)), "tune", "do not")
    for other, says in (
        (CpuTarget("generic", "aarch64-linux-gnu"), "this machine is x86_64 and the target aarch64"),
        (CpuTarget("skx", "x86_64-linux-gnu", ("avx2", "avx512f")), "this CPU lacks avx512f, which skx has"),
    ):
        with pytest.raises(DeviceError, match=f"^tune runs what it builds, but {says}; do not$"):
            check_runs_here(other, "tune", "do not")


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_where_the_system_does_not_tell(processor, monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "nothing")
    monkeypatch.setattr(cpu.ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr(cpu, "processor", lambda: processor)
    assert cpu.host_features.__wrapped__() is None
    assert cpu.cpu_model()


def machine(monkeypatch, tmp_path, siblings, usable, quota=None):
    """A machine whose core lists are `siblings` per logical CPU, of which this process may use `usable`."""
    for number, text in enumerate(siblings):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{text}\n")
    if quota:
        (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cpu, "_TOPOLOGY", tmp_path)
    monkeypatch.setattr(cpu, "_CGROUP", tmp_path)
    monkeypatch.setattr(cpu, "_own_cgroup", lambda: tmp_path / "outer" / "inner")
    monkeypatch.setattr(cpu, "_usable_cpus", lambda: usable)


@pytest.mark.parametrize(
    ("siblings", "usable", "quota", "cores"),
    [
        (["0", "1"], {0, 1}, None, 2),
        (["0,4", "1,5", "2,6", "3,7"] * 2, set(range(8)), None, 4),
        (["0,4", "1,5", "2,6", "3,7"] * 2, {0, 4, 1}, None, 2),
        (["0", "1", "2", "3"], {0, 1, 2, 3}, "250000 100000", 2),
        (["0", "1", "2", "3"], {0, 1, 2, 3}, "50000 100000", 1),
        (["0", "1", "2", "3"], {0, 1, 2, 3}, "max 100000", 4),
        ([], {0, 1, 2}, None, 3),
    ],
)
def test_cores_obey_topology_affinity_and_quota(siblings, usable, quota, cores, monkeypatch, tmp_path):
    machine(monkeypatch, tmp_path, siblings, usable, quota)
    assert physical_cores() == cores


def test_the_tightest_quota_counts(monkeypatch, tmp_path):
    machine(monkeypatch, tmp_path, ["0", "1", "2", "3"], {0, 1, 2, 3}, "300000 100000")
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "cpu.max").write_text("200000 100000")
    (tmp_path / "outer" / "inner" / "cpu.max").write_text("max 100000")
    assert physical_cores() == 2


def test_the_quota_of_older_kernels(monkeypatch, tmp_path):
    machine(monkeypatch, tmp_path, ["0", "1", "2", "3"], {0, 1, 2, 3})
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert physical_cores() == 2
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1")
    assert physical_cores() == 4
