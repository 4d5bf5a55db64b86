"""A scheduled function becomes CUDA C, and how its kernels are launched.

TVM splits the function into kernels and a host function that launches them. The kernels' text is compiled elsewhere,
ahead of time; of the host function only its launches are read: grids, blocks, and the dynamic shared memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import tirx
from tvm.ir import Call
from tvm.s_tir.pipeline import default_s_tir_pipeline
from tvm.tirx.build import split_host_device_mods

from lascompile.target import CudaTarget

_SYMBOL = "kernel"
"""What every function is called while it is compiled: equal kernels give equal text, whatever a network calls them."""

_LAUNCH = "tirx.call_ffi_kernel"
_DYNAMIC_SHARED = "tirx.use_dyn_shared_memory"
_LAUNCH_PARAMS = "tirx.kernel_launch_params"
_ASYNC_COPY_FROM = 80


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel.

    Attributes:
        symbol: The kernel.
        arguments: Which of the function's parameters it takes, by position, in its order.
        grid: Blocks along x, y and z.
        block: Threads of a block along x, y and z.
        dynamic_shared_bytes: Shared memory that is asked for at the launch.
    """

    symbol: str
    arguments: tuple[int, ...]
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    dynamic_shared_bytes: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        x, y, z = self.block
        return x * y * z


@dataclass(frozen=True)
class KernelSource:
    """CUDA C of one function.

    Attributes:
        text: As TVM emits it, with a kernel for each launch.
        launches: In the order in which they run.
    """

    text: str
    launches: tuple[Launch, ...]


def emit_source(func: tirx.PrimFunc, target: CudaTarget, pipeline: str | None = None) -> KernelSource:
    """The CUDA C of `func`, whose loops are bound to blocks and threads.

    Args:
        func: A scheduled function.
        target: What its schedule was made for.
        pipeline: A lowering pipeline by the name under which it is registered with TVM; default: TVM's for schedules.

    Raises:
        ValueError: A kernel takes anything but parameters of the function: a buffer between two of its kernels, say.
    """
    device = target.to_tvm()
    bound = device.with_host(tvm.target.Target("llvm"))
    module = tvm.IRModule({_SYMBOL: func.with_attr("global_symbol", _SYMBOL)})
    lower, _, finish_kernels = tirx.get_tir_pipeline(pipeline) if pipeline else default_s_tir_pipeline()
    # Without this, TVM emits commits and waits around plain stores.
    config = {"tirx.use_async_copy": target.capability >= _ASYNC_COPY_FROM}
    with device, tvm.transform.PassContext(config=config):
        lowered = lower(tirx.transform.BindTarget(bound)(module))
        hosts, devices = split_host_device_mods(lowered)
        ((device, kernels),) = devices.items()
        compiled = tvm.get_global_func("target.build.cuda")(finish_kernels()(kernels), device)
    positions = {param.name: position for position, param in enumerate(func.params)}
    tags = {str(kernel.attrs["global_symbol"]): _tags(kernel) for kernel in kernels.functions.values()}
    (host,) = hosts.functions.values()
    launches = tuple(_launch(call, tags, positions) for call in _launches(host.body))
    return KernelSource(str(compiled.inspect_source()), launches)


def _tags(kernel: tirx.PrimFunc) -> list[str]:
    return [str(tag) for tag in kernel.attrs[_LAUNCH_PARAMS]]


def _launches(node: Any) -> Iterator[Call]:
    """The launches below a statement, in the order in which they run."""
    if isinstance(node, Call) and getattr(node.op, "name", "") == _LAUNCH:
        yield node
    for name in ("seq", "body", "value", "then_case", "else_case"):
        child = getattr(node, name, None)
        for inner in child if name == "seq" and child is not None else [child]:
            if inner is not None:
                yield from _launches(inner)


def _launch(call: Call, tags: dict[str, list[str]], positions: dict[str, int]) -> Launch:
    symbol = str(call.args[0].value)
    asked = tags[symbol]
    values = list(call.args[1:])
    data = values[: len(values) - len(asked)]
    extents = {tag: int(value) for tag, value in zip(asked, values[len(data) :], strict=True)}

    def along(kind: str) -> tuple[int, int, int]:
        return (extents.get(f"{kind}.x", 1), extents.get(f"{kind}.y", 1), extents.get(f"{kind}.z", 1))

    arguments = tuple(_position(argument, symbol, positions) for argument in data)
    return Launch(symbol, arguments, along("blockIdx"), along("threadIdx"), extents.get(_DYNAMIC_SHARED, 0))


def _position(argument: Any, symbol: str, positions: dict[str, int]) -> int:
    """Which parameter's memory an argument is."""
    name = argument.args[0].name if isinstance(argument, Call) and len(argument.args) == 1 else str(argument)
    if name not in positions:
        raise ValueError(f"{symbol} takes {name}, which is no parameter of its function: {', '.join(positions)}")
    return positions[name]
