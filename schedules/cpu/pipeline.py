"""TVM's lowering pipeline, as this project's kernels need it.

- At its end, register tiles stay on the stack; see `stack`.
- Kernels that were written by hand, loop for loop, keep the buffers that they ask for. TVM would look for smaller ones:
  for a register tile of a few hundred statements that takes it a minute, and tiles of a matrix unit are stored whole,
  whatever is read of them.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx
from tvm.ir.transform import Pass, PassContext
from tvm.s_tir.pipeline import default_s_tir_pipeline

from lascompile.kernels.definition import KEEPS_BUFFERS
from lascompile.schedules.cpu.stack import keep_on_stack

PIPELINE = "lascompile_cpu"
"""The name under which the lowering pipeline is registered with TVM."""

_SHRINKS_BUFFERS = "s_tir.CompactBufferAllocation"


def register_pipeline() -> str:
    """Register the pipeline; returns its name."""
    tirx.register_tir_pipeline(PIPELINE, _pipeline)
    return PIPELINE


def _pipeline() -> tuple[Pass, Any, Any]:
    """The triple that TVM's registry asks for: the passes, and what finishes host and device code."""
    lower, finalize_host, finalize_device = default_s_tir_pipeline()
    passes = [_but_for_written_ones(lower), keep_on_stack()]
    return tvm.ir.transform.Sequential(passes), finalize_host, finalize_device


def _but_for_written_ones(lower: Pass) -> Pass:
    """`lower`, without the pass that shrinks buffers for functions that keep theirs."""

    @tvm.ir.transform.module_pass(opt_level=0, name="lower")
    def run(module: tvm.IRModule, context: PassContext) -> tvm.IRModule:
        written = {name: func for name, func in module.functions.items() if KEEPS_BUFFERS in (func.attrs or {})}
        others = {name: func for name, func in module.functions.items() if name not in written}
        lowered = lower(tvm.IRModule(others, attrs=module.attrs))
        with _without(_SHRINKS_BUFFERS, context):
            lowered.update(lower(tvm.IRModule(written, attrs=module.attrs)))
        return lowered

    return run


def _without(name: str, context: PassContext) -> PassContext:
    disabled = [*context.disabled_pass, name]
    return PassContext(context.opt_level, context.required_pass, disabled, context.instruments, dict(context.config))
