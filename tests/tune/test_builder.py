"""What a builder needs before it begins, and what it leaves behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from lascompile.errors import ToolchainError
from lascompile.target import parse_target
from lascompile.toolchain import linker
from lascompile.tune.builder import Builder
from lascompile.tune.tuner import job_of
from tests.tune.tiny import PACKED, task


def test_without_a_linker_nothing_begins(monkeypatch):
    """No candidate could be built, and none is to blame."""
    monkeypatch.setattr(linker, "find_linker", lambda mtriple: None)
    with pytest.raises(ToolchainError, match="no linker for x86_64-linux-gnu"):
        Builder(parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=haswell"), processes=1)


def test_files_are_in_one_folder_which_can_be_removed_at_any_moment(monkeypatch, tmp_path):
    """Those of a process that is killed too: nobody else would remove them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tuned = task(PACKED)
    builder = Builder(tuned.setting.target, processes=1)
    [folder] = tmp_path.iterdir()
    try:
        where = builder._pool.submit(tempfile.mkdtemp).result()
        [built] = builder.build([job_of(tuned, tuned.algorithm.space(PACKED, tuned.setting.target, 1).default)])
        assert built.library is not None and {built.library.parent, Path(where).parent} == {folder}
        builder.remove_files()
        assert not folder.exists()
    finally:
        builder.close()
    assert not list(tmp_path.iterdir())
