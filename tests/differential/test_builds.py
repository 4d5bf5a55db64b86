"""The same network built for another CPU, and built again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from lascompile.cpu import cpu_supports, processor
from tests.analysis.networks import Form, masked_network, random_input
from tests.differential.harness import compiled

FORM = Form(batch=2, mask_groups=2, conv_groups=2, size=(9, 12), blocks=2)

BUILD = "import sys; from lascompile.compile import build_artifact; build_artifact(*sys.argv[1:], threads=2)"


@pytest.mark.skipif(processor() != "x86_64" or bool(cpu_supports(["avx2", "fma"])), reason="no AVX2 here")
def test_narrower_vectors(tmp_path: Path) -> None:
    """AVX2 has half of AVX-512's lanes and registers, so that every tile is another one."""
    built = compiled(masked_network(FORM), tmp_path, mcpu="haswell")
    assert built.artifact.manifest.target["vector_bits"] == 256
    built.check(random_input(FORM))


def test_builds_are_reproducible(tmp_path: Path) -> None:
    """Two processes, whose hashes of strings differ, write the same library, weights and manifest."""
    onnx.save(masked_network(FORM), tmp_path / "m.onnx")
    stored = []
    for seed in ("1", "2"):
        folder = tmp_path / f"{seed}.lasc"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        arguments = [sys.executable, "-c", BUILD, str(tmp_path / "m.onnx"), str(folder)]
        subprocess.run(arguments, check=True, env=environment)
        stored.append(json.loads((folder / "manifest.json").read_text()))
    assert stored[0] == stored[1]
