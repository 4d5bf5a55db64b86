"""Which algorithm computes a convolution: what there is, what it costs, and the choice."""
