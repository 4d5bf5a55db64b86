"""The latency simulator that LAUDNet was published with (`DyNetSimulator`), in its own equations, faults included.

For comparison alone: nothing else in lascompile asks it. It reproduces what the papers plot, so that a reader can see
what our own model does differently; docs/predictor.md goes through the faults, B1 to B14, one by one. Where an equation
is known to be wrong, its fault stands beside it.

All results are seconds for a whole batch; sizes are numbers of float32 values, not bytes. Every kernel takes the sum of
its memory time, its compute time and a launch: nothing overlaps and nothing hits a cache between kernels [B10].

Source: LeapLabTHU/LAUDNet, commit b53b980.
"""

from lascompile.latency.published.blocks import SimulatedBlock
from lascompile.latency.published.device import PUBLISHED_DEVICES, PublishedDevice
from lascompile.latency.published.network import PUBLISHED_NETWORKS, PublishedNetwork

__all__ = ["PUBLISHED_DEVICES", "PUBLISHED_NETWORKS", "SimulatedBlock", "PublishedDevice", "PublishedNetwork"]
