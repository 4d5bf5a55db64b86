"""Read from a lowered network on which rows its kernels run: follow their buffers back to the masks that fill them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lascompile.analysis.gates import Mask
from lascompile.lower.kernels import ScheduledKernel
from lascompile.lower.program import Buffer, Program, Step
from lascompile.tune.activity import Activity, Decided, Dilated, Region, Tiles, United
from lascompile.workload import (
    ROW_SLACK,
    ConvWorkload,
    DilateWorkload,
    TableWorkload,
    TileTableWorkload,
    UnionWorkload,
    WinogradWorkload,
)


class ActivityReader:
    """Reads the activities of one program.

    Args:
        program: As it was lowered.
        masks: The masks of its spatial gates.
    """

    def __init__(self, program: Program, masks: Sequence[Mask]) -> None:
        self._masks = masks
        self._made_by = {id(output.root): step for step in program.steps for output in step.outputs if _is_list(step)}
        self._decisions = {id(buffer.root): name for name, buffer in program.decisions.items()}

    def activity(self, step: Step, workload: ConvWorkload | WinogradWorkload) -> Activity:
        """Of the convolution that `step` computes as `workload`."""
        # A kernel may take more than its workload says, behind all that is looked for here.
        given = dict(zip(workload.arguments()[:-1], step.arguments, strict=False))
        if isinstance(workload, WinogradWorkload):
            return self._of_tiles(given)
        rows = self._region_of_list(given["count"]) if workload.counted else None
        if not workload.gathers:
            return Activity(rows)
        maker = self._made_by.get(id(given["table"].root))
        if maker is None:
            return Activity(rows, constant_table=_known(given["table"]).astype(np.int32).tobytes())
        made = _workload(maker)
        if not isinstance(made, TableWorkload):
            return Activity(rows)  # the list itself
        source = self._region_of_list(maker.arguments[2]) if made.packed else None
        return Activity(rows, made.window, source)

    def _of_tiles(self, given: Mapping[str, Buffer]) -> Activity:
        maker = self._made_by.get(id(given["input_table"].root))
        if maker is None:
            inputs, outputs = (_known(given[name])[:-ROW_SLACK] for name in ("input_table", "output_table"))
            return Activity(tiles=Tiles.of(inputs, outputs - 1))
        made = _workload(maker)
        assert isinstance(made, TileTableWorkload)
        _, _, rows, pixels, active, *positions = maker.arguments
        # Behind the last tile stands one of nothing.
        tiles = Tiles.of(_known(rows)[:-1], _known(pixels)[:-1])
        source = self._region_of_list(positions[0]) if made.packed_input else None
        return Activity(self._region(active), source=source, tiles=tiles, packs=made.packed_output)

    def _region_of_list(self, buffer: Buffer) -> Region:
        """The pixels in a list, by any of the buffers that belong to it."""
        return self._region(self._made_by[id(buffer.root)].arguments[0])

    def _region(self, active: Buffer) -> Region:
        step = self._made_by[id(active.root)]
        made = _workload(step)
        if isinstance(made, DilateWorkload):
            return Dilated(made.window, self._region(step.arguments[0]))
        if isinstance(made, UnionWorkload):
            return United(self._region(step.arguments[0]), self._region(step.arguments[1]))
        name, index = self._decisions[id(step.arguments[0].root)], _known(step.arguments[1])
        mask = next(mask for mask in self._masks if mask.name == name and np.array_equal(mask.index, index))
        return Decided(name, mask.size, np.ascontiguousarray(mask.patches, dtype=np.int32).tobytes())


def _known(buffer: Buffer) -> np.ndarray:
    """What a constant holds."""
    assert buffer.data is not None
    return buffer.data


def _is_list(step: Step) -> bool:
    return step.part == "lists"


def _workload(step: Step) -> object:
    return step.kernel.workload if isinstance(step.kernel, ScheduledKernel) else None
