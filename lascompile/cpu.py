"""The CPU that this process runs on: its name, its instruction sets, its cores.

Reads what the Linux kernel says, so that neither LLVM nor TVM is needed: an artifact checks its CPU with this
where no compiler is installed.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")
_THREADS = Path("/proc/self/task")

# LLVM's name of an instruction set, and the kernel's flags that promise it. Only sets from which LLVM may
# take an instruction on its own, and those that kernels use: AES or SHA come by intrinsics alone, and asking
# for them would refuse CPUs that run the code well.
X86_FEATURES: dict[str, tuple[str, ...]] = {
    "sse3": ("pni",),
    "ssse3": ("ssse3",),
    "sse4.1": ("sse4_1",),
    "sse4.2": ("sse4_2",),
    "sse4a": ("sse4a",),
    "popcnt": ("popcnt",),
    "lzcnt": ("abm",),
    "bmi": ("bmi1",),
    "bmi2": ("bmi2",),
    "movbe": ("movbe",),
    "tbm": ("tbm",),
    "xop": ("xop",),
    "fma4": ("fma4",),
    "avx": ("avx",),
    "avx2": ("avx2",),
    "f16c": ("f16c",),
    "fma": ("fma",),
    "gfni": ("gfni",),
    "avxvnni": ("avx_vnni",),
    "avxvnniint8": ("avx_vnni_int8",),
    "avxvnniint16": ("avx_vnni_int16",),
    "avxifma": ("avx_ifma",),
    "avxneconvert": ("avx_ne_convert",),
    "avx512f": ("avx512f",),
    "avx512cd": ("avx512cd",),
    "avx512bw": ("avx512bw",),
    "avx512dq": ("avx512dq",),
    "avx512vl": ("avx512vl",),
    "avx512ifma": ("avx512ifma",),
    "avx512vbmi": ("avx512vbmi",),
    "avx512vbmi2": ("avx512_vbmi2",),
    "avx512vnni": ("avx512_vnni",),
    "avx512bitalg": ("avx512_bitalg",),
    "avx512vpopcntdq": ("avx512_vpopcntdq",),
    "avx512bf16": ("avx512_bf16",),
    "avx512fp16": ("avx512_fp16",),
    "amx-tile": ("amx_tile",),
    "amx-bf16": ("amx_bf16",),
    "avx10.1": ("avx10_1",),
    "avx10.2": ("avx10_2",),
    # Intel APX comes as a whole; the kernel has one flag for it.
    **dict.fromkeys(("egpr", "push2pop2", "ppx", "ndd", "ccmp", "nf", "zu"), ("apx",)),
}
ARM_FEATURES: dict[str, tuple[str, ...]] = {
    "fp-armv8": ("fp",),
    "neon": ("asimd",),
    "fullfp16": ("fphp", "asimdhp"),
    "fp16fml": ("asimdfhm",),
    "dotprod": ("asimddp",),
    "rdm": ("asimdrdm",),
    "complxnum": ("fcma",),
    "jsconv": ("jscvt",),
    "fptoint": ("frint",),
    "lse": ("atomics",),
    "lse2": ("uscat",),
    "rcpc": ("lrcpc",),
    "rcpc-immo": ("ilrcpc",),
    "flagm": ("flagm",),
    "altnzcv": ("flagm2",),
    "i8mm": ("i8mm",),
    "bf16": ("bf16",),
    "sve": ("sve",),
    "sve2": ("sve2",),
}
# The two share no name, so that a name alone says what to look for.
FEATURES = X86_FEATURES | ARM_FEATURES

_AT_HWCAP, _AT_HWCAP2 = 16, 26
_ARM_FLAGS: dict[int, tuple[str, ...]] = {
    _AT_HWCAP: (
        *("fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp", "cpuid"),
        *("asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop", "sha3", "sm3", "sm4", "asimddp", "sha512", "sve"),
        *("asimdfhm", "dit", "uscat", "ilrcpc", "flagm"),
    ),
    _AT_HWCAP2: (
        *("dcpodp", "sve2", "sveaes", "svepmull", "svebitperm", "svesha3", "svesm4", "flagm2", "frint"),
        *("svei8mm", "svef32mm", "svef64mm", "svebf16", "i8mm", "bf16"),
    ),
}
"""The kernel's flags by the word of the auxiliary vector that holds them, lowest bit first, as far as they are asked
for above (arch/arm64/include/uapi/asm/hwcap.h of Linux)."""

TILE_FEATURES = frozenset({"amx-tile", "amx-bf16"})
"""What kernels of the tile matrix unit need."""

TELLING_FEATURES = ("avx512f", "avx512vl", "avx512bw", "avx512vnni", "avx2", "fma", "neon", "dotprod", "sve")
"""Instruction sets that tell people what a CPU can do."""

TILE_PERMISSION = (158, 0x1023, 18)
"""What syscall(2) is given on x86-64 to ask for the tile registers: arch_prctl, a request for permission, the registers
(Documentation/arch/x86/xstate.rst of Linux)."""


@lru_cache(maxsize=1)
def host_features() -> frozenset[str] | None:
    """Instruction sets of this CPU by LLVM's names, or None where the system does not tell (not Linux)."""
    try:
        flags = _arm_flags(_auxiliary_vector()) if processor() == "aarch64" else _x86_flags()
    except (OSError, AttributeError):
        return None
    have = frozenset(name for name, needed in FEATURES.items() if flags.issuperset(needed))
    return have if "amx-tile" not in have or permit_tiles() else have - TILE_FEATURES


def cpu_supports(features: Iterable[str]) -> list[str]:
    """Which of `features` (LLVM's names) this CPU lacks, in order; none where the system does not tell."""
    have = host_features()
    return [] if have is None else [name for name in features if name not in have]


@lru_cache(maxsize=1)
def permit_tiles() -> bool:
    """Ask Linux to let this process use the tile registers of AMX; True if it does.

    Their 8 KB are saved at each switch of threads, so a process has to ask before its first tile instruction.
    """
    if processor() != "x86_64":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(*TILE_PERMISSION) == 0)


def processor() -> str:
    """The processor family as target triples begin: `x86_64` or `aarch64`."""
    return {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())


def cpu_model() -> str:
    """The CPU's name as its maker writes it, or the architecture where it has none."""
    try:
        names = _cpuinfo_fields("model name", "Model", "Hardware")
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def cpu_family() -> int:
    """The number of the family that an x86 CPU tells, 0 where there is none."""
    try:
        families = _cpuinfo_fields("cpu family")
    except OSError:
        families = []
    return int(families[0]) if families and families[0].isdigit() else 0


def physical_cores() -> int:
    """Cores this process may use: hyper-threads count once, affinity masks and cgroup quotas are obeyed."""
    usable = _usable_cpus()
    cores = {_siblings(cpu) for cpu in usable}
    quota = _cgroup_cpus()
    # Rounded down: threads that spin at a barrier while the quota is used up stop the whole process.
    return max(1, min(len(cores), int(quota) if quota else len(cores)))


def default_threads() -> int:
    """Threads to compute on where nobody says how many: the physical cores, within the limits of the environment.

    OMP_NUM_THREADS and OMP_THREAD_LIMIT are how containers and batch systems tell numerical programs to keep to their
    share. The first may be a list, of which the first number counts; what is no positive number limits nothing.
    """
    said = (os.environ.get(name, "").partition(",")[0].strip() for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"))
    return min([physical_cores(), *(int(limit) for limit in said if limit.isdecimal() and int(limit) > 0)])


def _x86_flags() -> set[str]:
    """The flags that all cores have."""
    cores = [set(line.split()) for line in _cpuinfo_fields("flags")]
    return set.intersection(*cores) if cores else set()


def _arm_flags(words: Mapping[int, int]) -> set[str]:
    """The names of the bits that are set. The kernel sets those of all cores, big and little."""
    return {flag for word, names in _ARM_FLAGS.items() for bit, flag in enumerate(names) if words[word] >> bit & 1}


def _auxiliary_vector() -> dict[int, int]:
    """The words that tell of the CPU. /proc/cpuinfo would do, but under QEMU it may be that of the host."""
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.argtypes, getauxval.restype = [ctypes.c_ulong], ctypes.c_ulong
    return {word: getauxval(word) for word in _ARM_FLAGS}


def _cpuinfo_fields(*keys: str) -> list[str]:
    lines = (line.partition(":") for line in _CPUINFO.read_text(errors="replace").splitlines())
    return [value.strip() for key, _, value in lines if key.strip() in keys]


def _usable_cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _siblings(cpu: int) -> str:
    """Names the core that holds logical CPU `cpu` (the list of its hyper-threads)."""
    try:
        return (_TOPOLOGY / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _cgroup_cpus() -> float | None:
    """CPUs that the tightest quota of this process's cgroup and of those around it is worth, or None."""
    own = _own_cgroup()
    folders = (folder for folder in (own, *own.parents) if folder.is_relative_to(_CGROUP))
    quotas = [quota for folder in folders for quota in (_quota_v2(folder), _quota_v1(folder)) if quota]
    return min(quotas, default=None)


def _own_cgroup() -> Path:
    try:
        line = Path("/proc/self/cgroup").read_text().splitlines()[-1]
    except (OSError, IndexError):
        return _CGROUP
    return _CGROUP / line.rpartition(":")[2].lstrip("/")


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # ValueError: the quota is `max`
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu" / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu" / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError):
        return None


def waited_for_cpu_s() -> float:
    """Seconds for which the threads of this process were ready to run, but another program did; 0 if nobody tells."""
    waited_ns = 0
    for task in _THREADS.glob("*/schedstat"):
        try:
            waited_ns += int(task.read_text().split()[1])
        except (OSError, IndexError):  # a thread that has ended, or a kernel that does not count
            continue
    return waited_ns * 1e-9
