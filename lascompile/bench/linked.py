"""Kernels that are measured by themselves run as in an artifact: linked with its threads, not TVM's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import tvm
from tvm import tirx

from lascompile.schedules.backends import backend_of
from lascompile.target import Target
from lascompile.toolchain import link_function
from lascompile.tune.trial import use_threads


def load_linked(func: tirx.PrimFunc, target: Target, threads: int) -> tvm.runtime.Module:
    """A library whose function `main` is `func`, for this machine; it runs on `threads` threads."""
    module = tvm.IRModule({"main": func.with_attr("global_symbol", "main")})
    executable = tvm.compile(module, target=target.to_tvm(), tir_pipeline=backend_of(target.kind).pipeline())
    with tempfile.TemporaryDirectory(prefix="lascompile-") as folder:
        path = Path(folder) / "kernel.so"
        executable.export_library(str(path), fcompile=link_function(target.host_triple))
        library = tvm.runtime.load_module(str(path))
    use_threads(library, threads)
    return library
