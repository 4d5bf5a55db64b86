"""GPU architectures as users call them: by number, by a device's name, by TVM's tag, several at once."""

from __future__ import annotations

import difflib
import re

from lascompile.errors import UsageError
from lascompile.machine import DEVICES

_NUMBERED = re.compile(r"(?:sm_)?(\d)(\d)([af]?)|(?:sm_)?(1\d)(\d)([af]?)")
_DOTTED = re.compile(r"(\d+)\.(\d)")
_OLDEST = 53
"""What TVM's kernels for float16 need, and CUDA 12.9 still compiles for."""

BY_NAME: dict[str, str] = {name: sheet.arch for name, sheet in DEVICES.items() if sheet.kind == "gpu"}
"""Architectures by the names of devices."""


def read_archs(text: str) -> tuple[str, ...]:
    """The architectures of `sm_70,8.7,h100`: `('sm_70', 'sm_87', 'sm_90')`, each once, in the order given.

    Raises:
        UsageError: A part names none.
    """
    return tuple(dict.fromkeys(_read(part.strip()) for part in text.split(",")))


def _read(name: str) -> str:
    dotted, numbered = _DOTTED.fullmatch(name), _NUMBERED.fullmatch(name)
    if dotted:
        return _checked(name, f"sm_{dotted[1]}{dotted[2]}")
    if numbered:
        return _checked(name, "sm_" + "".join(part or "" for part in numbered.groups()))
    if name.lower() in BY_NAME:
        return BY_NAME[name.lower()]
    return _of_tag(name)


def _checked(name: str, arch: str) -> str:
    if int(arch.removeprefix("sm_").rstrip("af")) < _OLDEST:
        raise UsageError(f"GPU architecture {name!r}: too old, the oldest that code is made for is sm_{_OLDEST}")
    return arch


def _of_tag(name: str) -> str:
    from tvm.target import Target as TvmTarget
    from tvm.target.tag import list_tags

    if "/" in name and name in (str(tag) for tag in list_tags()):
        arch = TvmTarget(name).export().get("arch")
        if arch:
            return str(arch)
    close = difflib.get_close_matches(name, BY_NAME, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else f"sm_62, 8.7, one of TVM's tags, or {', '.join(BY_NAME)}"
    raise UsageError(f"no such GPU architecture {name!r} ({hint})")
