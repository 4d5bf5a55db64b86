"""How a CPU's kernel asks for weights while it multiplies: see `schedules.weight_stream`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

from lascompile.schedules.cpu.vectors import LINE_BYTES, ceil_div, prefetch
from lascompile.schedules.weight_stream import Stream

_BURST = 8
"""Cache lines that are asked for at once: an address and a branch for all of them."""


@dataclass(frozen=True)
class Asker:
    """Asks for weights at each step of a chunk of rows, so that they come in steadily.

    In the first chunk these are the walker's own ones, as far as nobody has asked for them; spread over all chunks,
    those of the next kernel.

    Attributes:
        weight: The kernel's own weights.
        own_first: The first cache line of them that is asked for.
        of_own: How many are.
        upcoming: The next kernel's weights, or None.
        next_first: The first cache line of them that is asked for.
        bursts: Bursts at each step.
    """

    weight: tirx.Var
    own_first: Expr
    of_own: Expr
    upcoming: tirx.Var | None
    next_first: Expr
    bursts: Expr

    @staticmethod
    def of_chunk(
        stream: Stream,
        weight: tirx.Var,
        upcoming: tirx.Var | None,
        own_lines: int,
        walker: Expr,
        own_part: Expr,
        chunk: Expr,
        chunks: Expr,
        steps: Expr,
    ) -> Asker:
        """The asker of `walker`, whose own part of the weights is the `own_part`-th of `own_lines` cache lines.

        The chunk is one of `chunks`, and has so many `steps`.
        """
        left = max(0, own_lines - stream.fetched)
        of_own = T.bind(tirx.Select(chunk == 0, T.int32(left), T.int32(0)))
        of_next, next_first = T.int32(0), T.int32(0)
        if stream.upcoming is not None:
            share = prod(stream.upcoming.shape) * 2 // LINE_BYTES // stream.upcoming.walkers
            of_next = T.bind(ceil_div(T.int32(stream.upcoming.lines), chunks))
            next_first = T.bind(tirx.floormod(walker, stream.upcoming.walkers) * share + chunk * of_next)
        bursts = T.bind(ceil_div(of_own + of_next, steps * _BURST))
        return Asker(weight, T.bind(own_part * own_lines + stream.fetched), of_own, upcoming, next_first, bursts)

    def ask(self, passed: Expr) -> None:
        """Ask for what falls to a step; `passed` are the steps of the chunk before it."""
        with T.serial(self.bursts) as burst:
            wanted = T.bind((passed * self.bursts + burst) * _BURST)
            with T.If(wanted < self.of_own):
                with T.Then():
                    _prefetch(self.weight, self.own_first + wanted)
                with T.Else():
                    if self.upcoming is None:
                        T.evaluate(0)
                    else:
                        _prefetch(self.upcoming, self.next_first + (wanted - self.of_own))


def _prefetch(weight: tirx.Var, first: Expr) -> None:
    """Ask for a burst of cache lines of `weight`, which may reach beyond its end: that does no harm."""
    *outer, _, halves = (int(dim) for dim in weight.shape)
    lines_to_rows = LINE_BYTES // 2 // halves
    for line in range(_BURST):
        prefetch(tirx.address_of(weight[(*([0] * len(outer)), (first + line) * lines_to_rows, 0)]))
