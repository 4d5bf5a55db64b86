"""Where the result of a chain goes: dense rows, packed rows, or scattered over what stands where its gate is shut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.facts import is_nonnegative
from lascompile.lower.activations import as_activations
from lascompile.lower.chain import Chain, Domain
from lascompile.lower.context import Context, pixel_count, shape4
from lascompile.lower.lists import Lists
from lascompile.lower.program import Buffer, Role
from lascompile.workload import Epilogue, MapWorkload, channel_stride


@dataclass(frozen=True)
class Sink:
    """The buffers of an epilogue.

    Attributes:
        buffers: By argument name: output, residual, list, count, group_active, channel_group, as far as they apply.
        domain: The pixels that the output is packed to, or None.
        residual_listed: True if the residual is dense while the kernel's rows are listed.
        in_place: True if residual and output are one buffer.
    """

    buffers: dict[str, Buffer]
    domain: Domain | None
    residual_listed: bool
    in_place: bool

    def store(self, context: Context, chain: Chain) -> None:
        """Record where the chain's output stands now."""
        if self.domain is not None:
            context.packed[chain.output] = (self.buffers["output"], self.domain)
        else:
            context.rows[chain.output] = self.buffers["output"]


def prepare_sink(context: Context, lists: Lists, chain: Chain, rows_domain: Domain | None) -> Sink:
    """Make what the epilogue of `chain` reads and writes, its kernel running over `rows_domain` (None is dense)."""
    name = str(chain.anchor.name)
    buffers: dict[str, Buffer] = {}
    if rows_domain is not None:
        listed = lists.of(rows_domain, name)
        buffers |= {"list": listed.rows, "count": listed.count}
        context.program.counts[name] = listed.count
    residual_listed = False
    if chain.residual is not None:
        is_packed = chain.residual in context.packed
        buffers["residual"] = context.packed[chain.residual][0] if is_packed else context.rows_of(chain.residual)
        residual_listed = rows_domain is not None and not is_packed
    if chain.gate is None:
        buffers["output"] = context.new_rows(chain.output)
        return Sink(buffers, rows_domain, residual_listed, in_place=False)
    if chain.gate.mask.groups > 1:
        buffers["group_active"] = lists.group_active(chain.gate.mask, name)
        padding = channel_stride(len(chain.gate.channel_group)) - len(chain.gate.channel_group)
        groups = np.pad(chain.gate.channel_group, (0, padding))
        buffers["channel_group"] = context.constant("channel_group", groups)
    buffers["output"] = _base(context, chain)
    in_place = buffers.get("residual") is buffers["output"]
    return Sink(buffers, None, residual_listed, in_place)


def _base(context: Context, chain: Chain) -> Buffer:
    """The buffer that holds what the gate shuts out, into which the active rows are scattered.

    It is the base's own buffer where nobody reads the base afterwards and nothing changes it: the pixels that the
    mask leaves out are then never touched.
    """
    base = chain.base
    if base is None:
        return _spread(context, chain, ("scalar",), context.constant("zero", np.zeros(1, np.float32)), 0)
    rows = context.rows_of(base)
    writable = rows.root.role is Role.WORKSPACE and context.dies_at(base, chain.last)
    if writable and _keeps(chain.after_gate, base):
        return rows
    return _spread(context, chain, ("row",), rows, pixel_count(base))


def _keeps(activations: list[ir.Node], base: ir.Value) -> bool:
    """True if the activations leave every element of `base` as it is."""
    return all(node.op_type == "Identity" or (node.op_type == "Relu" and is_nonnegative(base)) for node in activations)


def _spread(context: Context, chain: Chain, kind: tuple[str], source: Buffer, source_rows: int) -> Buffer:
    """A new map that holds the activated base at every pixel."""
    _, channels, height, width = shape4(chain.output)
    target = context.new_rows(chain.output)
    workload = MapWorkload(
        rows=pixel_count(chain.output),
        pixels=height * width,
        channels=channels,
        op="Identity",
        operands=kind,
        operand_rows=(source_rows,),
        counted=False,
        scatters=False,
        epilogue=Epilogue(after=as_activations(chain.after_gate)),
    )
    context.run(workload, [source, target], [target], str(chain.anchor.name), "scatter")
    return target
