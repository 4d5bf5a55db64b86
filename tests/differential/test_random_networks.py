"""Networks without any plan, drawn by `tests/random_networks`: each agrees with onnxruntime, or is refused by name.

A few dozen here, as hypothesis draws and shrinks them; a thousand by `make test-slow`; any number by `make fuzz`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from lascompile.frontend.simplify import simplify
from tests.differential.harness import assert_close, session_of
from tests.differential.networks import Net, random_inputs
from tests.random_networks.judge import AGREES, CRASHES, FAULTS, INVALID, REFUSED, WRONG, Verdict, judge
from tests.random_networks.network import network_of, networks
from tests.random_networks.shrink import shrunk

# What fails is made small by `shrunk`, in fewer trials than hypothesis would take.
PHASES = (Phase.explicit, Phase.generate)
DRAWN = settings(derandomize=True, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))


@settings(DRAWN, max_examples=24)
@given(networks())
def test_some_networks(model: onnx.ModelProto) -> None:
    verdict = judge(model)
    if verdict.kind in FAULTS:
        small = shrunk(model, lambda smaller: judge(smaller).kind == verdict.kind, most_trials=30)
        pytest.fail(f"{verdict.kind}: {verdict.detail}\n{onnx.printer.to_text(small)}")


@settings(DRAWN, max_examples=60)
@given(networks())
def test_simplification_computes_the_same(model: onnx.ModelProto) -> None:
    """In onnxruntime on both sides; every output is there, in order."""
    inputs = random_inputs(model)
    feeds = {value.name: array for value, array in zip(model.graph.input, inputs, strict=True)}
    try:
        expected = session_of(model).run(None, feeds)
    except Exception:  # what onnxruntime does not run, nobody has to simplify
        return
    simple = ir.to_proto(simplify(ir.from_proto(model)))
    got = session_of(simple).run(None, dict(zip([value.name for value in simple.graph.input], inputs, strict=True)))
    assert_close(got, expected, [value.name for value in model.graph.output])


def test_a_seed_is_a_network() -> None:
    """Wherever it is drawn; what failed can be drawn again."""
    assert network_of(7).SerializeToString() == network_of(7).SerializeToString()
    assert network_of(7).SerializeToString() != network_of(8).SerializeToString()


def test_verdicts() -> None:
    """Of what agrees, of what is refused by name, and of what onnxruntime does not run either."""
    net = Net()
    assert judge(net.network(net.stem())) == Verdict(AGREES)
    net.nodes[-1].op_type = "RandomNormalLike"
    assert judge(net.network(net.nodes[-1].output[0])).kind == REFUSED
    net.nodes[-1].op_type = "Concat"
    assert judge(net.network(net.nodes[-1].output[0])).kind == INVALID


def test_what_fails_is_made_small() -> None:
    """Down to the one node that does: what comes before is an input, and what comes behind is gone."""
    net = Net()
    culprit = net.add("Softmax", net.conv(net.stem(), 8, 8, 3, "before"), axis=1)
    model = net.network(net.relu(net.conv(culprit, 8, 8, 1, "behind")), net.add("Neg", "x"))
    small = shrunk(model, lambda smaller: any(node.op_type == "Softmax" for node in smaller.graph.node))
    assert [node.op_type for node in small.graph.node] == ["Softmax"]
    np.testing.assert_equal([len(small.graph.initializer), len(small.graph.input)], [0, 1])


@pytest.mark.slow
def test_a_thousand_networks(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.random_networks", "--count", "1000", "--output", str(tmp_path)]
    subprocess.run([*command, "--jobs", str(min(os.cpu_count() or 1, 4))], check=False, capture_output=True)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["networks"] == 1000
    assert not {WRONG, CRASHES} & summary["verdicts"].keys(), summary
