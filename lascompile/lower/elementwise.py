"""Lower chains that start with an element-wise operator, or with a gate whose input is stored already."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from lascompile.analysis.demand import Window
from lascompile.analysis.rules import elementwise as rule
from lascompile.lower.activations import as_activations
from lascompile.lower.chain import Chain
from lascompile.lower.context import Context, pixel_count, shape4
from lascompile.lower.convolution import pack_channels
from lascompile.lower.lists import Lists
from lascompile.lower.program import Buffer
from lascompile.lower.sink import epilogue, prepare_sink
from lascompile.workload import Epilogue, MapWorkload


def lower_map(context: Context, lists: Lists, chain: Chain) -> None:
    """Emit the kernel of an element-wise `chain`."""
    node = chain.anchor
    sink = prepare_sink(context, lists, chain)
    sources = _sources(chain)
    operands = [_operand(context, lists, chain, value) for value in sources]
    _, channels, height, width = shape4(chain.output)
    is_binary = len(sources) == 2
    workload = MapWorkload(
        rows=pixel_count(chain.output),
        pixels=height * width,
        channels=channels,
        op=node.op_type if is_binary else "Identity",
        operands=tuple(kind for kind, _, _ in operands),
        operand_rows=tuple(pixel_count(value) if len(value.shape or ()) == 4 else 0 for value in sources),
        counted=chain.domain is not None,
        scatters=chain.scatters,
        residual_listed=sink.residual_listed,
        in_place=sink.in_place,
        epilogue=_epilogue(chain, is_binary),
    )
    buffers = dict(sink.buffers)
    if chain.domain is not None:
        buffers |= lists.of(chain.domain).by_argument()
    for position, (_, buffer, table) in enumerate(operands):
        buffers[f"operand{position}"] = buffer
        if table is not None:
            buffers[f"table{position}"] = table
    arguments = [buffers[argument] for argument in workload.arguments()]
    part = "scatter" if workload.scatters else "conv"
    context.run(workload, arguments, [buffers["output"]], str(node.name), part if workload.counted else "other")
    sink.store(context, chain)


def _sources(chain: Chain) -> list[ir.Value]:
    """The values that the anchor reads: the gated map, or the operands."""
    node = chain.anchor
    if chain.gate is not None and chain.gate.site is node:
        return [chain.gate.gated]
    operands = node.inputs[:1] if node.op_type in rule.UNARY else node.inputs
    return [value for value in operands if value is not None]


def _epilogue(chain: Chain, is_binary: bool) -> Epilogue:
    """A unary anchor is itself the first activation."""
    whole = epilogue(chain)
    node = chain.anchor
    if is_binary or (chain.gate is not None and chain.gate.site is node):
        return whole
    return replace(whole, before=(*as_activations([node]), *whole.before))


def _operand(context: Context, lists: Lists, chain: Chain, value: ir.Value) -> tuple[str, Buffer, Buffer | None]:
    """How an operand is found, its buffer, and the table of its rows if there is one."""
    name = str(chain.anchor.name)
    kind = rule.operand_kind(value, chain.anchor.outputs[0])
    if kind in ("scalar", "channel"):
        data = value.const_value.numpy()  # type: ignore[union-attr]
        channels = shape4(chain.output)[1]
        packed = data.reshape(1) if kind == "scalar" else pack_channels(data, channels)
        return str(kind), context.constant(f"{name}.{value.name}", packed), None
    if kind == "image":
        return "image", context.rows_of(value), None
    if value not in context.packed:
        return ("row" if chain.domain is None else "list"), context.rows_of(value), None
    buffer, domain = context.packed[value]
    if domain == chain.domain:
        return "row", buffer, None
    assert chain.domain is not None
    batch, _, height, width = shape4(value)
    same = Window((1, 1), (1, 1), (0, 0), (1, 1), (height, width), (height, width))
    return "table", buffer, lists.table(chain.domain, same, batch, domain)
