"""What a builder needs before it begins, and what it leaves behind."""

from __future__ import annotations

import pytest

from lascompile.errors import ToolchainError
from lascompile.target import parse_target
from lascompile.toolchain import linker
from lascompile.tune.builder import Builder


def test_without_a_linker_nothing_begins(monkeypatch):
    """No candidate could be built, and none is to blame."""
    monkeypatch.setattr(linker, "find_linker", lambda mtriple: None)
    with pytest.raises(ToolchainError, match="no linker for x86_64-linux-gnu"):
        Builder(parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell"), processes=1)
