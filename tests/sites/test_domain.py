"""Lists are made in an order that depends on the network alone."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import onnx_ir as ir

from lascompile.analysis.demand import Footprint, Window
from lascompile.analysis.gates import Mask
from lascompile.sites.domain import granularity_of, ordered_key
from tests.lower.tiling import domain_of


def test_order_of_footprints_is_the_same_whatever_set_they_come_from() -> None:
    """Even where name and number of windows agree: a set's own order changes from process to process."""
    decision = ir.Value(name="decision")
    index = np.arange(16, dtype=np.int32)[None]
    masks = [Mask(decision, index, (1, 4, 4), inverted) for inverted in (False, True)]
    masks.append(Mask(decision, index[:, ::-1], (1, 4, 4), False))
    windows = [Window((k, k), (1, 1), (k // 2, k // 2), (1, 1), (4, 4), (4, 4)) for k in (3, 5)]
    footprints = [Footprint(masks[0], (window,)) for window in windows]
    footprints += [Footprint(mask, (windows[0],)) for mask in masks[1:]]
    orders = [sorted(given, key=ordered_key) for given in permutations(footprints)]
    assert all(order == orders[0] for order in orders)


def test_the_granularity_of_a_domain_is_that_of_its_first_mask() -> None:
    assert granularity_of(domain_of(1, (8, 8), 4)) == (4, 4)
    assert granularity_of(domain_of(1, (8, 8), 4, 2)) == granularity_of(domain_of(1, (8, 8), 2, 4)) == (2, 2)
    assert granularity_of(None) is None
