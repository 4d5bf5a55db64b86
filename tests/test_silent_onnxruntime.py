"""Nothing is written outside the folders that the user names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from tests.masked_nets import masked_network

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = """
from lascompile.cli.main import main
assert main(["inspect", "m.onnx"]) == 0
assert main(["build", "m.onnx", "--threads", "1", "--verify"]) == 0
assert main(["verify", "m.lasc", "--onnx", "m.onnx"]) == 0
assert main(["run", "m.lasc"]) == 0
"""


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """A home, a folder for temporary files and one with a model, after the commands that do not measure."""
    folder = tmp_path_factory.mktemp("silent")
    for name in ("home", "temporary", "work"):
        (folder / name).mkdir()
    onnx.save(masked_network(blocks=1, size=8), folder / "work" / "m.onnx")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=folder / "work",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.parametrize("where", ["home", "temporary"])
def test_nothing_is_written_there(after, where):
    folder, _ = after
    assert sorted((folder / where).rglob("*")) == []


def test_what_is_written_was_asked_for(after):
    folder, _ = after
    assert sorted(path.name for path in (folder / "work").iterdir()) == ["m.lasc", "m.onnx"]


def test_nothing_is_remarked(after):
    _, done = after
    assert done.stderr == ""
