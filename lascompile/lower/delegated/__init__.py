"""Operators without a kernel of ours go through TVM's own ONNX frontend and its default code, and none is believed.

These are the small ones around a masker (reshapes, comparisons, indexing), whose speed does not matter. Neighbours are
handed over together, so that TVM fuses them:

    delegate    which nodes go together; a group that fails is taken apart until one node is to blame
    translate   nodes → a model of their own → TVM's functions; rewrite has operators in terms of others
    trust       what these compute is compared with onnxruntime, on numbers that have been trouble
    move        a node that only moves elements is a table instead, made by moving their numbers
"""

from lascompile.lower.delegated.delegate import DelegatedKernel, lower_delegated

__all__ = ["DelegatedKernel", "lower_delegated"]
