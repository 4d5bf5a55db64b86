"""The schedule space of convolutions on the tile matrix unit, and what a cost model is told of a point in it."""

from __future__ import annotations

from lascompile.schedules.cpu.bf16x3_conv import TileDecisions, default_decisions
from lascompile.schedules.cpu.bf16x3_loops import GROUP_ROWS, STEP, can_cut_depth, channel_blocks, steps
from lascompile.schedules.cpu.caches import of_second_level
from lascompile.schedules.space import Space
from lascompile.target import CpuTarget
from lascompile.workload import ConvWorkload

_MOST_PACKED_BYTES = of_second_level(2)
_MOST_DEPTH_PARTS = 16


def bf16x3_space(workload: ConvWorkload, target: CpuTarget, threads: int) -> Space:
    """What may be decided for `workload`."""
    default = default_decisions(workload, target, threads)
    groups = -(-workload.rows // GROUP_ROWS)
    divisors = [n for n in range(1, threads + 1) if threads % n == 0]
    values = {
        "channel_walkers": divisors,
        "row_walkers": divisors,
        "packed_groups": sorted({*(2**n for n in range(12) if 2**n < groups), groups}),
        "depth_parts": [parts for parts in range(1, _MOST_DEPTH_PARTS + 1) if can_cut_depth(workload, parts)],
    }

    def allows(decisions: TileDecisions) -> bool:
        return (
            channel_blocks(workload) % decisions.channel_walkers == 0
            and decisions.channel_walkers * decisions.row_walkers in (1, threads)
            and _packed_bytes(workload, decisions) <= _MOST_PACKED_BYTES
        )

    return Space.around(default, values, allows)


def bf16x3_features(workload: ConvWorkload, decisions: TileDecisions, target: CpuTarget, rate: float) -> list[float]:
    """Numbers that tell points of the space apart by what they cost; as `row_conv_features`."""
    active = workload.rows * (rate if workload.counted else 1.0)
    groups = max(1.0, active / GROUP_ROWS)
    return [
        decisions.channel_walkers,
        decisions.row_walkers,
        decisions.packed_groups,
        decisions.depth_parts,
        _packed_bytes(workload, decisions) / 1024,
        groups / (decisions.row_walkers * decisions.packed_groups),
        groups,
        channel_blocks(workload) / decisions.channel_walkers,
        steps(workload),
        float(workload.counted),
        workload.epilogue.takes_residual + 2.0 * workload.scatters + 4.0 * workload.in_place,
    ]


def _packed_bytes(workload: ConvWorkload, decisions: TileDecisions) -> int:
    """Two halves of each number, two bytes each."""
    return decisions.packed_groups * GROUP_ROWS * (steps(workload) // decisions.depth_parts) * STEP * 4
