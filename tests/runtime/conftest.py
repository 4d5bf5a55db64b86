"""One small artifact for all tests of the runtime."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest

from lascompile.compile import build_artifact
from lascompile.manifest import sealed
from lascompile.runtime.artifact import load
from tests.runtime.tiny import tiny_network


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """An artifact of two masked blocks, for a batch of two. Read only."""
    folder = tmp_path_factory.mktemp("runtime")
    onnx.save(tiny_network(), folder / "m.onnx")
    return build_artifact(folder / "m.onnx", threads=2)


@pytest.fixture
def artifact(built):
    return load(built, 1)


@pytest.fixture
def damaged(built, tmp_path):
    """A copy of the artifact, to be altered."""
    return shutil.copytree(built, tmp_path / "copy.lasc")


@pytest.fixture
def image():
    return np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def edit_manifest(damaged):
    """Change the manifest of the damaged copy by a function of its JSON, and its checksum with it."""
    path = damaged / "manifest.json"

    def edit(change):
        stored = json.loads(path.read_text())
        change(stored)
        path.write_text(json.dumps(sealed(stored)))
        return damaged

    return edit
