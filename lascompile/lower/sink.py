"""Where the result of a chain goes: dense rows, packed rows, or scattered over what stands where its gate is shut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lascompile.analysis.fill import leave_alone
from lascompile.lower.activations import as_activations
from lascompile.lower.chain import Chain
from lascompile.lower.context import Context, pixel_count, shape4
from lascompile.lower.lists import Lists
from lascompile.lower.program import Buffer, Role
from lascompile.workload import Epilogue, MapWorkload, channel_stride


@dataclass(frozen=True)
class Sink:
    """The buffers of an epilogue.

    Attributes:
        buffers: By argument name: output, residual, group_active, channel_group, as far as they apply.
        residual_listed: True if the residual is dense while the kernel's rows are listed.
        in_place: True if residual and output are one buffer.
    """

    buffers: dict[str, Buffer]
    residual_listed: bool
    in_place: bool

    def store(self, context: Context, chain: Chain) -> None:
        """Record where the chain's output stands now."""
        if chain.packs:
            assert chain.domain is not None
            context.packed[chain.output] = (self.buffers["output"], chain.domain)
        else:
            context.rows[chain.output] = self.buffers["output"]


def epilogue(chain: Chain) -> Epilogue:
    """What the kernel of `chain` does before its store."""
    groups = chain.gate.mask.groups if chain.gate is not None else 1
    return Epilogue(
        before=as_activations(chain.before),
        gate_groups=groups if groups > 1 else 0,
        otherwise=_selects(chain),
        add=chain.residual is not None,
        after=as_activations(chain.after),
    )


def _selects(chain: Chain) -> bool:
    """True if a computed pixel takes some of its channels from elsewhere, since their mask groups are off there."""
    return chain.gate is not None and chain.gate.mask.groups > 1 and chain.gate.otherwise is not None


def prepare_sink(context: Context, lists: Lists, chain: Chain) -> Sink:
    """Make what the epilogue of `chain` reads and writes."""
    buffers: dict[str, Buffer] = {}
    if chain.gate is not None and chain.gate.mask.groups > 1:
        buffers["group_active"] = lists.group_active(chain.gate.mask)
        padding = channel_stride(len(chain.gate.channel_group)) - len(chain.gate.channel_group)
        groups = np.pad(chain.gate.channel_group, (0, padding))
        buffers["channel_group"] = context.constant("channel_group", groups)
    residual = chain.base if _selects(chain) else chain.residual
    if residual is not None:
        is_packed = residual in context.packed
        buffers["residual"] = context.packed[residual][0] if is_packed else context.rows_of(residual)
    buffers["output"] = _base(context, chain) if chain.scatters else context.new_rows(chain.output)
    return Sink(
        buffers,
        residual_listed=residual is not None and chain.domain is not None and not is_packed,
        in_place=chain.scatters and buffers.get("residual") is buffers["output"],
    )


def _base(context: Context, chain: Chain) -> Buffer:
    """The dense map that holds what stands at the other pixels, into which the computed rows are scattered.

    It is the base's own buffer where nobody else reads the base now or later, and nothing changes it: the pixels that
    the mask leaves out are then never touched.
    """
    base = chain.base
    if base is None:
        return _spread(context, chain, ("scalar",), context.constant("zero", np.zeros(1, np.float32)), 0)
    rows = context.rows_of(base)
    if _is_writable(context, chain, rows) and leave_alone(chain.after_gate, base):
        return rows
    return _spread(context, chain, ("row",), rows, pixel_count(base))


def _is_writable(context: Context, chain: Chain, rows: Buffer) -> bool:
    """True if what `rows` holds is read by nobody after `chain`, and by `chain` in the row it computes alone."""
    if rows.root.role is not Role.WORKSPACE or not context.dies_at(rows, chain.last):
        return False
    sources = [value for value in chain.anchor.inputs if value is not None]
    if chain.gate is not None and chain.gate.site is chain.anchor:
        sources = [chain.gate.gated]
    return all(context.rows.get(source) is not rows for source in sources)


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
