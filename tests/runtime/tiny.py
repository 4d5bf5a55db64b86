"""The network of these tests."""

from __future__ import annotations

import onnx

from tests.masked_nets import masked_network


def tiny_network() -> onnx.ModelProto:
    """Two masked blocks of 8 channels on 8x8 pixels in patches of 2x2, for a batch of two."""
    return masked_network(blocks=2, batch=2, size=8, granularity=2)
