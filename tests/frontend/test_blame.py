"""A failure is the file's fault where onnxruntime refuses it, and a bug of ours elsewhere."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from lascompile.cli.main import main
from lascompile.errors import UnsupportedModelError
from lascompile.frontend.blame import refuses_malformed, what_is_wrong
from tests.masked_nets import masked_network


@refuses_malformed
def fails(path):
    raise KeyError(path)


def test_whose_fault_it_is(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(masked_network(blocks=1, size=8), path)
    assert what_is_wrong(path) is None
    with pytest.raises(KeyError):
        fails(path)
    model = onnx.load(path)
    model.graph.node[0].input[0] = "nobody"
    onnx.save(model, path)
    with pytest.raises(UnsupportedModelError, match=r"m\.onnx: the ONNX graph is malformed \(.*nobody"):
        fails(path)


def one_node(shape, node, *more):
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "g", [tensor("x", TensorProto.FLOAT, shape)], [tensor("y", TensorProto.FLOAT, None)], list(more)
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


WEIGHT = helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 3, 3), [1.0] * 108)
VERDICTS = {
    "a word for padding": (
        one_node([1, 3, 8, 8], helper.make_node("Conv", ["x", "w"], ["y"], "c", auto_pad="SAME_ISH"), WEIGHT),
        3,
    ),
    "a dimension of 0": (one_node([1, 0, 4], helper.make_node("Relu", ["x"], ["y"], "r")), 3),
    "a scalar": (one_node([], helper.make_node("Relu", ["x"], ["y"], "r")), 0),
    "an axis that is none": (one_node([1, 4], helper.make_node("Softmax", ["x"], ["y"], "s", axis=7)), 3),
}


@pytest.mark.parametrize("what", VERDICTS)
def test_build_and_verify_have_one_verdict(tmp_path, monkeypatch, capsys, what):
    monkeypatch.chdir(tmp_path)
    model, code = VERDICTS[what]
    onnx.save(model, "m.onnx")
    assert main(["build", "m.onnx", "--threads", "1"]) == code
    if code == 0:
        assert main(["verify", "m.lasc", "--onnx", "m.onnx", "--threads", "1"]) == 0
        assert main(["run", "m.lasc"]) == 0
    else:
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "bug" not in err
