"""Latency as a term of a training loss: seconds that follow from each block's activation rate, differentiably.

The papers train against FLOPs (LASNet section 3.4), which say nothing of halos, tiles, lists or launches. Here the
predicted latency of each block is a piecewise-linear function of its rate, tabulated once for a device; what a network
costs is their sum, and its gradient says what a percent of a block's patches is worth in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lascompile.errors import UsageError
from lascompile.latency.network import NetworkPredictor, block_shapes
from lascompile.models.config import ResNetConfig

POINTS = 21
"""Rates at which a block is tabulated, from 0 to 1."""


class LatencyLoss(nn.Module):
    """How far the expected latency of a network is above a budget.

        loss = max(0, latency / budget - 1)²

    The tables are buffers, and move with the module. Rates are the means of the blocks' masks over a batch, as soft or
    straight-through masks give them, so that gradients reach the maskers.

    Args:
        predictor: Of the device.
        config: The network, with masks.
        budget_s: Seconds for one call.
        batch: Images of one call.
        points: Rates at which each block is tabulated.

    Raises:
        UsageError: The network has no masks, or a number is out of range.
    """

    knots: Tensor
    table: Tensor

    def __init__(
        self, predictor: NetworkPredictor, config: ResNetConfig, budget_s: float, batch: int = 1, points: int = POINTS
    ) -> None:
        super().__init__()
        if config.granularity is None:
            raise UsageError("a network without masks has no activation rates to train")
        if not 0 < budget_s < float("inf"):
            raise UsageError(f"budget_s is {budget_s}, but it must be positive and finite")
        if points < 2:
            raise UsageError(f"points is {points}, but at least 2 are needed")
        self.budget_s = budget_s
        knots = np.linspace(0, 1, points)
        shapes = block_shapes(config, batch)
        rows = [[predictor.block(shape, float(rate)).latency_s for rate in knots] for shape in shapes]
        around = predictor.network(config, 1.0, batch)
        self.outside_s = around[0].latency_s + around[-1].latency_s
        # A rate that grows never makes a network faster, though a tile that just fills may seem to.
        self.register_buffer("table", torch.tensor(np.maximum.accumulate(np.array(rows), axis=1), dtype=torch.float64))
        self.register_buffer("knots", torch.tensor(knots, dtype=torch.float64))

    def latency_s(self, rates: Tensor | Sequence[Tensor]) -> Tensor:
        """Expected seconds of one call; `rates` is [blocks], or a number for each block in order.

        Raises:
            UsageError: There are not as many as blocks.
        """
        given = rates if isinstance(rates, Tensor) else torch.stack(list(rates))
        if given.shape != self.table.shape[:1]:
            raise UsageError(f"rates are {list(given.shape)}, but there is one for each of {len(self.table)} blocks")
        inside = given.to(self.table.dtype).clamp(0, 1)
        last = len(self.knots) - 1
        low = (inside.detach() * last).floor().long().clamp(max=last - 1)
        begin, end = (self.table.gather(1, place[:, None])[:, 0] for place in (low, low + 1))
        seconds = begin + (end - begin) * (inside * last - low)
        return seconds.sum() + self.outside_s

    def forward(self, rates: Tensor | Sequence[Tensor]) -> Tensor:
        """The loss at these rates: a number without a unit, 0 within the budget."""
        return torch.relu(self.latency_s(rates) / self.budget_s - 1) ** 2
