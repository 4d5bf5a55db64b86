"""Where the time of an inference goes, block by block, beside what the masks ask for.

Share of the time and share of the operations stand side by side, since they are not the same: a masker and its lists
cost time and next to no operations, and a kernel with few rows left does not fill the machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from lascompile.manifest import Manifest, MaskSpec
from lascompile.runtime.profile import PARTS, Profile, StepTime

if TYPE_CHECKING:
    import numpy as np

    from lascompile.runtime.artifact import Artifact


@dataclass(frozen=True)
class BlockTime:
    """The time of one block, or of all that is outside of blocks.

    Attributes:
        name: The block's; empty for what is outside of blocks.
        granularity: S, height and width of a patch in pixels; None without a mask.
        activation_rate: Share of the map's pixels that the mask switches on; None without a mask.
        halo_rate: Share of its pixels that the widest kernel of the branch computes, which is more than the mask where
            the windows of a later kernel reach; None without a mask.
        flops: Operations of the convolutions if all pixels are computed, of the whole batch.
        flops_done: Those of them that are done at the measured rates.
        latency_s: Seconds by part, in the order of `PARTS`.
    """

    name: str
    granularity: tuple[int, int] | None
    activation_rate: float | None
    halo_rate: float | None
    flops: float
    flops_done: float
    latency_s: Mapping[str, float]

    @property
    def total_s(self) -> float:
        """Seconds of all parts."""
        return sum(self.latency_s.values())

    @property
    def flops_ratio(self) -> float | None:
        """Operations at the measured rates over all of them; None where none are counted."""
        return self.flops_done / self.flops if self.flops else None

    @property
    def flops_per_s(self) -> float | None:
        """Operations done, over the time of the whole block."""
        return self.flops_done / self.total_s if self.flops and self.total_s else None


@dataclass(frozen=True)
class KernelTime:
    """All calls of one kind of kernel.

    Attributes:
        label: What the kernel does.
        calls: How often it runs in an inference.
        latency_s: Seconds of all calls.
    """

    label: str
    calls: int
    latency_s: float


@dataclass(frozen=True)
class TimeReport:
    """The times of one input.

    Attributes:
        blocks: In order of execution.
        outside: What belongs to no block.
        kernels: By kind, the slowest first.
        latency_s: Median of whole inferences without the profiler, in seconds.
        profiled_s: The same under the profiler.
        threads: Threads that it ran on.
        repeats: Inferences that each median is taken of.
    """

    blocks: Sequence[BlockTime]
    outside: BlockTime
    kernels: Sequence[KernelTime]
    latency_s: float
    profiled_s: float
    threads: int
    repeats: int

    @property
    def rows(self) -> tuple[BlockTime, ...]:
        """The blocks, and what is outside of them if it takes time."""
        return (*self.blocks, *([self.outside] if self.outside.total_s else []))

    @property
    def kernels_s(self) -> float:
        """Seconds of all kernels."""
        return sum(row.total_s for row in self.rows)

    @property
    def total(self) -> BlockTime:
        """The sum of all rows; its rates are undefined."""
        parts = {part: sum(row.latency_s[part] for row in self.rows) for part in PARTS}
        flops, done = sum(row.flops for row in self.rows), sum(row.flops_done for row in self.rows)
        return BlockTime("total", None, None, None, flops, done, parts)

    def to_json(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {
            "latency_s": self.latency_s,
            "profiled_s": self.profiled_s,
            "kernels_s": self.kernels_s,
            "threads": self.threads,
            "repeats": self.repeats,
            "flops_ratio": self.total.flops_ratio,
            "blocks": [_to_json(row, self.kernels_s) for row in self.blocks],
            "outside": _to_json(self.outside, self.kernels_s),
            "kernels": [asdict(kernel) for kernel in self.kernels],
        }


def time_blocks(artifact: Artifact, inputs: Sequence[np.ndarray], repeats: int) -> TimeReport:
    """Profile `repeats` inferences, time as many without the profiler, and sort what was seen by block."""
    profile = artifact.profile(*inputs, repeats=repeats)
    latency_s = median(_durations(artifact, inputs, repeats))
    return sort_by_block(artifact.manifest, profile, latency_s, artifact.threads, repeats)


def sort_by_block(manifest: Manifest, profile: Profile, latency_s: float, threads: int, repeats: int) -> TimeReport:
    """Sort the steps of `profile` into blocks and kinds of kernels.

    Args:
        manifest: Of the artifact that was run.
        profile: Of `repeats` inferences.
        latency_s: Median of inferences without the profiler.
        threads: Threads that it ran on.
        repeats: Inferences that were timed.
    """
    steps: dict[str, list[StepTime]] = {str(block["name"]): [] for block in manifest.blocks}
    outside: list[StepTime] = []
    for entry in profile.steps:
        steps.get(entry.step.block, outside).append(entry)
    masks = {mask.name: mask for mask in manifest.masks}
    images = manifest.inputs[0].shape[0] if manifest.inputs and manifest.inputs[0].shape else 1
    blocks = [_block_time(block, masks, steps[str(block["name"])], images) for block in manifest.blocks]
    rest = BlockTime("", None, None, None, *_flops_outside(manifest, images), _by_part(outside))
    return TimeReport(blocks, rest, _kernel_times(profile.steps), latency_s, profile.latency_s, threads, repeats)


def _durations(artifact: Artifact, inputs: Sequence[np.ndarray], count: int) -> Iterator[float]:
    for _ in range(count):
        begin = time.perf_counter()
        artifact.run(*inputs)
        yield time.perf_counter() - begin


def _block_time(
    block: Mapping[str, Any], masks: Mapping[str, MaskSpec], steps: Sequence[StepTime], images: int
) -> BlockTime:
    rates = {entry.step.node: entry.activation_rate for entry in steps if entry.activation_rate is not None}
    # What is stored back obeys the mask itself; the other kernels may have to compute a halo as well.
    stored = [entry.activation_rate for entry in steps if entry.step.part == "scatter" and entry.step.node in rates]
    mask = masks.get(str(block["mask"]))
    convolutions = block["convolutions"]
    return BlockTime(
        name=str(block["name"]),
        granularity=mask.granularity if mask is not None else None,
        activation_rate=stored[-1] if stored else None,
        halo_rate=max(rates.values(), default=None),
        flops=images * sum(conv["flops"] for conv in convolutions),
        flops_done=images * sum(conv["flops"] * rates.get(conv["name"], 1.0) for conv in convolutions),
        latency_s=_by_part(steps),
    )


def _flops_outside(manifest: Manifest, images: int) -> tuple[float, float]:
    """Operations of the network that are in no block, and how many of them are done: all."""
    in_blocks = sum(conv["flops"] for block in manifest.blocks for conv in block["convolutions"])
    rest = images * max(0.0, manifest.flops.get("dense", in_blocks) - in_blocks)
    return rest, rest


def _by_part(steps: Iterable[StepTime]) -> dict[str, float]:
    parts = dict.fromkeys(PARTS, 0.0)
    for entry in steps:
        parts[entry.step.part] += entry.latency_s
    return parts


def _kernel_times(steps: Sequence[StepTime]) -> list[KernelTime]:
    by_label: dict[str, list[float]] = {}
    for entry in steps:
        by_label.setdefault(entry.step.label, []).append(entry.latency_s)
    kernels = [KernelTime(label, len(times), sum(times)) for label, times in by_label.items()]
    return sorted(kernels, key=lambda kernel: -kernel.latency_s)


def _to_json(row: BlockTime, kernels_s: float) -> dict[str, Any]:
    derived = {
        "total_s": row.total_s,
        "share": row.total_s / kernels_s if kernels_s else None,
        "flops_ratio": row.flops_ratio,
        "flops_per_s": row.flops_per_s,
    }
    return asdict(row) | derived
