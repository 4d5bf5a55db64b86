"""The CPU that this process runs on: its name, its instruction sets, its cores.

Reads what the Linux kernel says, so that neither LLVM nor TVM is needed: an artifact checks its CPU with this
where no compiler is installed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_TOPOLOGY = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")

# LLVM's name of an instruction set, and the kernel's flags that promise it. Only sets from which LLVM may
# take an instruction on its own: AES, SHA or AMX come by intrinsics alone, and asking for them would refuse
# CPUs that run the code well.
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


@lru_cache(maxsize=1)
def host_features() -> frozenset[str] | None:
    """Instruction sets of this CPU by LLVM's names, or None where the system does not tell (not Linux)."""
    try:
        flags = _cpuinfo_fields("flags", "Features")
    except OSError:
        return None
    # A set that one core lacks may be asked for on that core: big.LITTLE pairs must agree.
    common = set.intersection(*(set(line.split()) for line in flags)) if flags else set()
    return frozenset(name for name, needed in FEATURES.items() if common.issuperset(needed))


def cpu_supports(features: Iterable[str]) -> list[str]:
    """Which of `features` (LLVM's names) this CPU lacks, in order; none where the system does not tell."""
    have = host_features()
    return [] if have is None else [name for name in features if name not in have]


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


def physical_cores() -> int:
    """Cores this process may use: hyper-threads count once, affinity masks and cgroup quotas are obeyed."""
    usable = _usable_cpus()
    cores = {_siblings(cpu) for cpu in usable}
    quota = _cgroup_cpus()
    # Rounded down: threads that spin at a barrier while the quota is used up stop the whole process.
    return max(1, min(len(cores), int(quota) if quota else len(cores)))


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
