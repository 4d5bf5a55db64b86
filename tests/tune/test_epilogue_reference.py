"""The reference's epilogue: every function that kernels have, and the order of the steps."""

from __future__ import annotations

import numpy as np

from lascompile.kernels import activation
from lascompile.tune.epilogue_reference import ACTIVATIONS, finished
from lascompile.workload import Epilogue

RELU = (("relu",),)
RESULTS = np.array([[-1.0, 2.0], [3.0, -4.0]])
RESIDUAL = np.array([[10.0, -20.0], [30.0, 40.0]])
IS_ON = np.array([[True, False], [False, True]])


def test_every_activation_of_the_kernels_has_a_reference():
    assert ACTIVATIONS.keys() == activation.ACTIVATIONS.keys()


def test_before_gate_add_after():
    epilogue = Epilogue(before=RELU, gate_groups=2, add=True, after=(("neg",),))
    expected = [[-10.0, 20.0], [-30.0, -40.0]]
    assert finished(epilogue, RESULTS, RESIDUAL, IS_ON).tolist() == expected


def test_the_residual_where_a_gate_is_shut():
    epilogue = Epilogue(gate_groups=2, otherwise=True, after=RELU)
    assert finished(epilogue, RESULTS, RESIDUAL, IS_ON).tolist() == [[0.0, 0.0], [30.0, 0.0]]


def test_nothing_to_do():
    assert finished(Epilogue(), RESULTS, 0.0, None) is RESULTS
