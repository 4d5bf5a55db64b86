"""Targets as users write them."""

from __future__ import annotations

import difflib
import json
import shlex
from typing import Any

from lascompile.cpu import ARM_FEATURES, X86_FEATURES, host_features, processor
from lascompile.errors import UsageError
from lascompile.target.base import Target
from lascompile.target.cpu_target import CpuTarget
from lascompile.target.cuda_archs import read_archs
from lascompile.target.cuda_target import CudaTarget

KINDS = ("llvm", "cuda")
NATIVE = "native"
_OPTIONS = {"llvm": ("mcpu", "mtriple", "mattr"), "cuda": ("arch",)}
_FAMILIES = {"x86_64": X86_FEATURES, "aarch64": ARM_FEATURES}


def parse_target(text: str, mcpu: str = NATIVE) -> Target:
    """Reads a target as users write it, where there can be only one.

    Raises:
        UsageError: As `parse_targets`, or `text` names several architectures.
    """
    target, *others = parse_targets(text, mcpu)
    if others:
        named = ", ".join(each.name for each in (target, *others))
        raise UsageError(f"target {text!r} names several architectures ({named}): give one of them")
    return target


def parse_targets(text: str, mcpu: str = NATIVE) -> tuple[Target, ...]:
    """Reads targets as users write them: one, but for a GPU's, which may name several architectures.

    `text` is a kind (`llvm`), a kind with options (`llvm -mcpu=haswell`, `cuda -arch=sm_70`), a JSON object
    (`{"kind": "llvm", "mcpu": "haswell"}`) or one of TVM's tags (`nvidia/jetson-tx2`). `mcpu` fills in the
    CPU where `text` names none; `native` is the CPU of this machine, with exactly the instruction sets that
    the system reports, whatever LLVM believes of a CPU of that name. A GPU's architecture may be written as `sm_87`,
    `8.7`, `jetson-orin` or a tag, and several with commas between them.

    Raises:
        UsageError: `text` cannot be read, names a kind, tag or CPU that there is not, or contradicts `mcpu`.
    """
    spec = _read_spec(text)
    kind = spec.pop("kind")
    unknown = sorted(set(spec) - set(_OPTIONS[kind]))
    if unknown:
        allowed = ", ".join(_OPTIONS[kind])
        raise UsageError(f"target {text!r}: unknown option {', '.join(unknown)} ({kind} has: {allowed})")
    if kind == "cuda":
        return _cuda_targets(text, spec.get("arch"))
    named = spec.get("mcpu", mcpu)
    if mcpu != NATIVE and named != mcpu:
        raise UsageError(f"target {text!r} names the CPU {named!r}, --mcpu {mcpu!r}: give one of them")
    return (_llvm_target(named, spec.get("mtriple", ""), tuple(spec.get("mattr", ()))),)


def _read_spec(text: str) -> dict[str, Any]:
    """`text` as a dict with a known `kind`."""
    text = text.strip()
    if text.startswith("{"):
        spec = _read_json(text)
    elif "/" in text.split(" ")[0]:
        spec = _read_tag(text)
    else:
        spec = _read_options(text)
    if spec.get("kind") not in KINDS:
        raise UsageError(f"target {text!r}: no such kind {spec.get('kind')!r} (allowed: {', '.join(KINDS)})")
    if isinstance(spec.get("mattr"), str):
        spec["mattr"] = spec["mattr"].split(",")
    _check_types(text, spec)
    return spec


def _check_types(text: str, spec: dict[str, Any]) -> None:
    for key in ("mcpu", "mtriple", "arch"):
        if not isinstance(spec.get(key, ""), str):
            raise UsageError(f"target {text!r}: {key} must be a string, got {spec[key]!r}")
    for attribute in spec.get("mattr", ()):
        if not (isinstance(attribute, str) and attribute[:1] in ("+", "-")):
            raise UsageError(f"target {text!r}: cannot read {attribute!r} in mattr, write +name or -name")


def _read_json(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise UsageError(f"target {text!r} is not a JSON object: {error}") from None


def _read_options(text: str) -> dict[str, Any]:
    try:
        kind, *options = shlex.split(text)
    except ValueError:
        raise UsageError(f"target {text!r} cannot be read: write it as 'llvm -mcpu=haswell'") from None
    spec: dict[str, Any] = {"kind": kind}
    for option in options:
        key, equals, value = option.lstrip("-").partition("=")
        if not option.startswith("-") or not equals or not value:
            raise UsageError(f"target {text!r}: cannot read {option!r}, write options as -name=value")
        spec[key] = value
    return spec


def _read_tag(text: str) -> dict[str, Any]:
    from tvm.target import Target as TvmTarget
    from tvm.target.tag import list_tags

    tags = [str(tag) for tag in list_tags()]
    if text not in tags:
        raise UsageError(f"target {text!r} is no tag that TVM knows{_did_you_mean(text, tags)}")
    found = dict(TvmTarget(text).export())
    kind = str(found["kind"])
    options = {key: found[key] for key in _OPTIONS.get(kind, ()) if found.get(key)}
    return {"kind": kind, **{key: _plain(value) for key, value in options.items()}}


def _plain(value: Any) -> Any:
    """A value of TVM's as Python's own."""
    return str(value) if isinstance(value, str) else [str(item) for item in value]


def _cuda_targets(text: str, arch: str | None) -> tuple[CudaTarget, ...]:
    if not arch:
        raise UsageError(f"target {text!r} names no GPU architecture: write it as 'cuda -arch=sm_70'")
    try:
        return tuple(CudaTarget(each) for each in read_archs(arch))
    except UsageError as error:
        raise UsageError(f"target {text!r}: {error}") from None


def _llvm_target(mcpu: str, mtriple: str, mattr: tuple[str, ...]) -> CpuTarget:
    from tvm.target import codegen

    mtriple = mtriple or f"{processor()}-linux-gnu"
    family = _family(mtriple)
    if mcpu == NATIVE and mtriple.startswith(processor()):
        mcpu = str(codegen.llvm_get_system_cpu())
        mattr = (*_corrections(mcpu, mtriple, family), *mattr)
    elif mcpu == NATIVE:
        mcpu = "generic"
    if not codegen.llvm_is_valid_cpu(mcpu, mtriple):
        hint = _of_another_family(mcpu) or _did_you_mean(mcpu, _cpus(mtriple))
        raise UsageError(f"CPU {mcpu!r}: LLVM knows none of that name for {mtriple}{hint}")
    features = _llvm_features(mcpu, mtriple, mattr) & set(family)
    return CpuTarget(mcpu, mtriple, tuple(sorted(features)), mattr)


def _corrections(mcpu: str, mtriple: str, family: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Where this machine's CPU differs from LLVM's idea of it.

    A virtual machine may hide instruction sets of its CPU, and LLVM gives a CPU newer than
    itself an older name.
    """
    have = host_features()
    if have is None:
        return ()
    assumed = _llvm_features(mcpu, mtriple, ()) & set(family)
    surplus = [f"-{name}" for name in family if name in assumed - have]
    return (*surplus, *(f"+{name}" for name in family if name in have - assumed))


def _llvm_features(mcpu: str, mtriple: str, mattr: tuple[str, ...]) -> set[str]:
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    spec = {"kind": "llvm", "mcpu": mcpu, "mtriple": mtriple, "mattr": list(mattr)}
    return {str(name) for name in codegen.llvm_get_cpu_features(TvmTarget(spec))}


def _cpus(mtriple: str) -> list[str]:
    from tvm.target import Target as TvmTarget
    from tvm.target import codegen

    target = TvmTarget({"kind": "llvm", "mtriple": mtriple})
    return [str(cpu) for cpu in codegen.llvm_get_cpu_archlist(target)]


def _of_another_family(mcpu: str) -> str:
    """How to ask for a CPU that is of another processor family than the one asked for; empty where there is none."""
    from tvm.target import codegen

    for family in _FAMILIES:
        if codegen.llvm_is_valid_cpu(mcpu, f"{family}-linux-gnu"):
            return f", but an {family} one: give --target 'llvm -mtriple={family}-linux-gnu -mcpu={mcpu}'"
    return ""


def _family(mtriple: str) -> dict[str, tuple[str, ...]]:
    """The instruction sets of the processor family that `mtriple` names."""
    name = mtriple.partition("-")[0]
    if name not in _FAMILIES:
        raise UsageError(f"-mtriple={mtriple}: no code for {name!r} (allowed: {', '.join(_FAMILIES)})")
    return _FAMILIES[name]


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f" (did you mean {', '.join(close)}?)" if close else ""
