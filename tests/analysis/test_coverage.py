"""Expected shares of needed pixels."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx_ir as ir
import pytest

from lascompile.analysis.coverage import Coverage
from lascompile.analysis.demand import NOWHERE, Demand, Footprint, Window
from lascompile.analysis.gates import Mask


def mask_of(cells: tuple[int, int], size: tuple[int, int], groups: int = 1, batch: int = 1) -> Mask:
    """A mask upsampled as PyTorch does it."""
    rows, columns = (np.arange(side) * cell // side for side, cell in zip(size, cells, strict=True))
    image = rows[:, None] * cells[1] + columns
    offsets = np.arange(batch)[None, :, None] * groups + np.arange(groups)[:, None, None]
    index = (offsets * cells[0] * cells[1] + image.reshape(-1)).reshape(groups, -1).astype(np.int32)
    decision = ir.Value(name="m", shape=ir.Shape((batch, groups, *cells)), type=ir.TensorType(ir.DataType.BOOL))
    return Mask(decision, index, (batch, *size), inverted=False)


def window(size: tuple[int, int], kernel: int = 3, stride: int = 1, dilation: int = 1) -> Window:
    pad = dilation * (kernel // 2)
    output = tuple((side + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1 for side in size)
    return Window((kernel,) * 2, (stride,) * 2, (pad,) * 2, (dilation,) * 2, size, (output[0], output[1]))


def averaged(demand: Demand, rate: float) -> float:
    """The share over all decisions that can be taken, each weighed by its probability."""
    (decision,) = {footprint.mask.decision for footprint in demand.footprints}
    assert decision.shape is not None
    total = 0.0
    for choice in product((False, True), repeat=int(np.prod(decision.shape.numpy()))):
        needed = np.any([footprint.pixels(np.array(choice)) for footprint in demand.footprints], axis=0)
        total += needed.mean() * float(np.prod([rate if on else 1 - rate for on in choice]))
    return total


MASK = mask_of((2, 3), (5, 7))
CASES = {
    "the mask": [Footprint(MASK)],
    "dilated": [Footprint(MASK, (window((5, 7)),))],
    "twice": [Footprint(MASK, (window((5, 7)), window((5, 7), kernel=5)))],
    "dilation 2": [Footprint(MASK, (window((5, 7), dilation=2),))],
    "stride 2": [Footprint(MASK, (window((9, 13), stride=2),))],
    "1x1 with stride 2": [Footprint(MASK, (window((9, 13), kernel=1, stride=2),))],
    "groups": [Footprint(mask_of((2, 2), (4, 5), groups=2), (window((4, 5)),))],
    "batch": [Footprint(mask_of((2, 2), (4, 5), batch=2), (window((4, 5)),))],
    "two ways": [Footprint(MASK), Footprint(MASK, (window((5, 7)),))],
    "one patch": [Footprint(mask_of((1, 1), (4, 4)), (window((4, 4)),))],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
def test_the_expected_share_is_the_average_over_all_decisions(case: str, rate: float) -> None:
    demand = Demand(frozenset(CASES[case]))
    assert Coverage(rate).share(demand) == pytest.approx(averaged(demand, rate))


def test_masks_of_two_decisions_are_independent() -> None:
    """Needed unless both are off; a mask and its opposite count as two decisions as well."""
    one, other = mask_of((2, 2), (4, 4)), mask_of((2, 2), (4, 4))
    demand = Demand(frozenset([Footprint(one), Footprint(other)]))
    assert Coverage(0.3).share(demand) == pytest.approx(1 - 0.7**2)


def test_everywhere_and_nowhere() -> None:
    assert Coverage(0.5).share(Demand(reason="because")) == 1
    assert Coverage(0.5).share(NOWHERE) == 0


def test_what_the_paper_reports_for_the_dilated_mask() -> None:
    """S = 4 at half of the patches: about 0.71 of the pixels of a 56x56 map are read by a 3x3 convolution."""
    demand = Demand(frozenset([Footprint(mask_of((14, 14), (56, 56)), (window((56, 56)),))]))
    assert Coverage(0.5).share(demand) == pytest.approx(0.7187, abs=1e-4)


def test_equal_blocks_are_computed_once() -> None:
    coverage = Coverage(0.5)
    shares = [
        coverage.share(Demand(frozenset([Footprint(mask_of((7, 7), (28, 28)), (window((28, 28)),))]))) for _ in range(3)
    ]
    assert len(set(shares)) == 1
    assert len(coverage._known) == 1
