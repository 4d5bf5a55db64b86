"""What can be read, and the one line that says why something cannot."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from lascompile.errors import LascompileError, UnsupportedModelError, UsageError
from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from tests import masked_nets
from tests.analysis.networks import INPUT, Builder, Form, masked_network


@pytest.fixture
def model() -> onnx.ModelProto:
    return masked_network(Form(block="single"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def refusal(kind: type[LascompileError], path: Path, **shapes: tuple[int, ...]) -> str:
    """The message with which `path` is refused."""
    with pytest.raises(kind) as caught:
        load_model(path, shapes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_is_read(model: onnx.ModelProto, path: Path) -> None:
    graph = load_model(saved(model, path)).graph
    assert [value.name for value in graph.inputs] == [INPUT]


def test_missing(path: Path) -> None:
    assert refusal(UsageError, path) == f"{path}: no such file; give the ONNX file that PyTorch exported"


def test_folder(tmp_path: Path) -> None:
    assert refusal(UsageError, tmp_path) == f"{tmp_path} is a folder; give the ONNX file itself"


OTHER_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is empty; export the model again"),
    "image": (
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        "not an ONNX file but a PNG image; give the ONNX file that PyTorch exported",
    ),
    "checkpoint": (
        b"PK\x03\x04" + bytes(64),
        "not an ONNX file but a ZIP archive, perhaps a PyTorch checkpoint; export the model with torch.onnx.export",
    ),
    "pickle": (
        b"\x80\x02}q\x00.",
        "not an ONNX file but a pickle, perhaps a PyTorch checkpoint; export the model with torch.onnx.export",
    ),
    "text": (b"conv1.weight: 3\n", "not an ONNX file; give the one that PyTorch exported"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_other_files(kind: str, path: Path) -> None:
    content, reason = OTHER_FILES[kind]
    path.write_bytes(content)
    assert refusal(UnsupportedModelError, path) == f"{path}: {reason}"


def test_truncated(model: onnx.ModelProto, path: Path) -> None:
    whole = model.SerializeToString()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        size = f"{path.stat().st_size:,}"
        assert refusal(UnsupportedModelError, path) == (
            f"{path}: the ONNX file is damaged or cut off (it has {size} bytes); export or copy it again"
        )


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.integers(0, 4000), st.booleans())
def test_damage_never_ends_in_anything_but_one_line(tmp_path_factory, noise: bytes, place: int, insert: bool) -> None:
    """Whatever a file holds, it is read, or refused by an error of ours."""
    whole = masked_network(Form(block="single")).SerializeToString()
    path = tmp_path_factory.mktemp("damaged") / "m.onnx"
    path.write_bytes(whole[:place] + noise + whole[place + (0 if insert else len(noise)) :])
    try:
        load_model(path)
    except LascompileError as error:
        assert "\n" not in str(error)


def test_no_operators(path: Path) -> None:
    empty = helper.make_model(helper.make_graph([], "g", [], []))
    message = refusal(UnsupportedModelError, saved(empty, path))
    assert "damaged or cut off" in message


def test_missing_external_data(model: onnx.ModelProto, path: Path) -> None:
    onnx.save_model(model, path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    assert load_model(path).graph.initializers
    path.with_name("m.onnx.data").unlink()
    message = refusal(UnsupportedModelError, path)
    assert message.startswith(f"{path}: its external data cannot be read (")
    assert message.endswith("; keep the .data file beside the model")


@pytest.mark.parametrize(
    ("opset", "reason"),
    [
        (10, "opset 10, but at least 11 is needed; export with opset_version=18"),
        (99, f"opset 99, but the installed onnx {onnx.__version__} knows up to"),
    ],
)
def test_opsets(model: onnx.ModelProto, path: Path, opset: int, reason: str) -> None:
    model.opset_import[0].version = opset
    assert refusal(UnsupportedModelError, saved(model, path)).startswith(f"{path}: {reason}")


def dynamic(path: Path, *dims: int | str) -> Path:
    build = Builder()
    return saved(build.model(list(dims), build.conv(INPUT, 3, 4, 3, "conv")), path)


def test_dynamic_shapes(path: Path) -> None:
    assert refusal(UsageError, dynamic(path, "N", 3, "H", 32)) == (
        "input 'x' has the dynamic shape Nx3xHx32; name a static one, as in --shape x=1,3,224,32"
    )


def test_a_dynamic_shape_of_another_rank(path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(masked_network(Form(block="single")))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    assert "dynamic shape of unknown rank; name a static one" in refusal(UsageError, saved(model, path))


def test_shapes_are_filled_in(path: Path) -> None:
    graph = simplify(load_model(dynamic(path, "N", 3, "H", 32), {INPUT: (2, 3, 16, 32)})).graph
    assert graph.inputs[0].shape == (2, 3, 16, 32)
    assert graph.outputs[0].shape == (2, 4, 16, 32)


@pytest.mark.parametrize("shape", [(2, 3, 16, 31), (2, 3, 16), (0, 3, 16, 32), (-1, 3, 16, 32)])
def test_shapes_that_do_not_fit(path: Path, shape: tuple[int, ...]) -> None:
    text = ",".join(map(str, shape))
    assert refusal(UsageError, dynamic(path, "N", 3, "H", 32), x=shape) == (
        f"--shape x={text} does not fit the model's input, which is Nx3xHx32"
    )


def test_a_shape_for_no_input(model: onnx.ModelProto, path: Path) -> None:
    assert refusal(UsageError, saved(model, path), y=(1,)) == "--shape names 'y', but the model's inputs are x"


def test_weights_that_are_inputs_too_are_weights(model: onnx.ModelProto, path: Path) -> None:
    """As in files of the first format versions."""
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    graph = load_model(saved(model, path)).graph
    assert [value.name for value in graph.inputs] == [INPUT]
    assert len(simplify(load_model(path)).graph.inputs) == 1


def training_batch_norm(build: Builder) -> str:
    output = build.batch_norm(build.conv(INPUT, 3, 4, 3, "conv"), 4, "bn")
    node = build.nodes[-1]
    node.attribute.append(helper.make_attribute("training_mode", 1))
    node.output.extend(["mean", "var"])
    return output


def training_dropout(build: Builder) -> str:
    mode = build.constant(np.array(True))
    return build.add("Dropout", build.conv(INPUT, 3, 4, 3, "conv"), build.number(0.5), mode, name="drop")


def gumbel(build: Builder) -> str:
    return build.add("Add", INPUT, build.add("RandomUniformLike", INPUT, name="noise"))


TRAINING: dict[str, tuple[Callable[[Builder], str], str]] = {
    "batch norm": (training_batch_norm, "node 'bn' (BatchNormalization) is updated or random during training"),
    "dropout": (training_dropout, "node 'drop' (Dropout) is updated or random during training"),
    "noise": (gumbel, "node 'noise' (RandomUniformLike) is random noise, as of a masker's Gumbel softmax"),
}


@pytest.mark.parametrize("case", TRAINING)
def test_training_mode(case: str, path: Path) -> None:
    add, reason = TRAINING[case]
    build = Builder()
    message = refusal(UnsupportedModelError, saved(build.model([1, 3, 8, 8], add(build)), path))
    assert message == (
        f"{reason}: the graph was exported in training mode; call model.eval() on the outermost module before "
        "torch.onnx.export"
    )


def with_function(node: onnx.NodeProto, *inputs: str) -> onnx.ModelProto:
    """A network that is one call of a function of that node; "mode" is true."""
    opset = [helper.make_opsetid("", 17)]
    function = helper.make_function("local", "Layer", list(inputs), ["y"], [node], opset)
    mode = helper.make_node("Constant", [], ["mode"], value=numpy_helper.from_array(np.array(True)))
    call = helper.make_node("Layer", list(inputs), ["out"], name="call", domain="local")
    given, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in (INPUT, "out"))
    graph = helper.make_graph([mode, call], "g", [given], [result])
    opsets = [*opset, helper.make_opsetid("local", 1)]
    return helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8)


FUNCTIONS: dict[str, tuple[onnx.NodeProto, tuple[str, ...]]] = {
    "dropout": (helper.make_node("Dropout", [INPUT, "", "mode"], ["y"], name="drop"), (INPUT, "mode")),
    "noise": (helper.make_node("RandomNormalLike", [INPUT], ["y"], name="noise"), (INPUT,)),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_training_mode_inside_a_function(case: str, path: Path) -> None:
    node, inputs = FUNCTIONS[case]
    message = refusal(UnsupportedModelError, saved(with_function(node, *inputs), path))
    assert message.startswith(f"node {node.name!r} ({node.op_type}) is ") and "model.eval()" in message


def test_a_function_that_calls_itself(path: Path) -> None:
    node = helper.make_node("Layer", [INPUT], ["y"], domain="local")
    model = with_function(node, INPUT)
    model.functions[0].opset_import.append(helper.make_opsetid("local", 1))
    message = refusal(UnsupportedModelError, saved(model, path))
    assert message.startswith(f"{path}: the model's functions are malformed (")


def test_dropout_in_inference_mode_is_none(path: Path) -> None:
    build = Builder()
    mode = build.constant(np.array(False))
    output = build.add("Dropout", build.conv(INPUT, 3, 4, 3, "conv"), build.number(0.5), mode)
    graph = simplify(load_model(saved(build.model([1, 3, 8, 8], output), path))).graph
    assert [node.op_type for node in graph] == ["Conv"]


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16])
def test_other_precisions(path: Path, kind: int) -> None:
    nodes = [helper.make_node("Relu", [INPUT], ["y"])]
    given, result = (helper.make_tensor_value_info(name, kind, [1, 3]) for name in (INPUT, "y"))
    graph = helper.make_graph(nodes, "g", [given], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    name = TensorProto.DataType.Name(kind).lower()
    assert refusal(UnsupportedModelError, saved(model, path)) == (
        f"input 'x' is {name}, but float32 is what is compiled; export the float32 model"
    )


def test_half_precision_inside(path: Path) -> None:
    """Converters that keep float32 inputs and outputs put casts around."""
    build = Builder()
    weight = build.constant(np.full((1, 3, 1, 1), 2, np.float16))
    half = build.add("Mul", build.add("Cast", INPUT, to=TensorProto.FLOAT16), weight, name="half")
    model = build.model([1, 3, 8, 8], build.add("Cast", half, to=TensorProto.FLOAT))
    with pytest.raises(UnsupportedModelError, match=r"half \(Mul\).*: elements of float16, but float32 is what is"):
        simplify(load_model(saved(model, path)))


def test_doubles_that_fold_away_are_no_matter(path: Path) -> None:
    build = Builder()
    wide = build.constant(np.array(2.0))
    output = build.add("Mul", INPUT, build.add("Cast", wide, to=TensorProto.FLOAT))
    graph = simplify(load_model(saved(build.model([1, 3, 8, 8], output), path))).graph
    assert [node.op_type for node in graph] == ["Mul"]


def test_data_dependent_shapes(path: Path) -> None:
    build = Builder()
    output = build.add("NonZero", INPUT, name="active")
    cast = build.add("Cast", output, to=TensorProto.FLOAT)
    with pytest.raises(UnsupportedModelError, match=r"the output shape of active \(NonZero\).* depends on data"):
        simplify(load_model(saved(build.model([1, 3, 8, 8], cast), path)))


def test_a_malformed_graph(model: onnx.ModelProto, path: Path) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "odd"))
    model.graph.initializer[-1].data_type = 77
    message = refusal(UnsupportedModelError, saved(model, path))
    assert message.startswith(f"{path}: the ONNX graph is malformed (")


def unsorted(build: Builder) -> onnx.ModelProto:
    model = build.model([1, 3, 8, 8], build.add("Relu", build.add("Neg", INPUT)))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])
    return model


def test_nodes_in_another_order_are_sorted(path: Path) -> None:
    assert [node.op_type for node in load_model(saved(unsorted(Builder()), path)).graph] == ["Neg", "Relu", "Identity"]


def cyclic(build: Builder) -> onnx.ModelProto:
    model = build.model([1, 3, 8, 8], build.add("Relu", build.add("Neg", INPUT, name="n"), name="r"))
    model.graph.node[0].input[0] = "r:0"
    return model


def without_outputs(build: Builder) -> onnx.ModelProto:
    model = build.model([1, 3, 8, 8], build.add("Relu", INPUT))
    del model.graph.output[:]
    return model


def with_an_unknown_output(build: Builder) -> onnx.ModelProto:
    model = build.model([1, 3, 8, 8], build.add("Relu", INPUT))
    model.graph.output[0].name = "z"
    return model


DISCONNECTED: dict[str, tuple[Callable[[Builder], onnx.ModelProto], str]] = {
    "cycle": (cyclic, "the ONNX graph is malformed (Graph contains a cycle"),
    "no outputs": (without_outputs, "the model has no outputs; export it again"),
    "unknown output": (with_an_unknown_output, "the model needs 'z', which nothing computes; export the model again"),
    "unknown input": (
        lambda build: build.model([1, 3, 8, 8], build.add("Add", INPUT, "missing", name="sum")),
        "node 'sum' needs 'missing', which nothing computes; export the model again",
    ),
}


@pytest.mark.parametrize("case", DISCONNECTED)
def test_graphs_that_are_not_connected(case: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make, reason = DISCONNECTED[case]
    assert refusal(UnsupportedModelError, saved(make(Builder()), path)).startswith(f"{path}: {reason}")
    assert not caplog.records


INCONSISTENT: dict[str, tuple[Callable[[Builder], str], str]] = {
    "shapes": (
        lambda b: b.add("Add", INPUT, b.constant(np.zeros(5, np.float32)), name="sum"),
        "shapes or types in the graph do not fit together: (op_type:Add, node name: sum): Incompatible dimensions; "
        "check --shape, or export the model again",
    ),
    "types": (
        lambda b: b.add("Add", INPUT, b.ints(1), name="sum"),
        "shapes or types in the graph do not fit together: (op_type:Add, node name: sum): B has inconsistent type",
    ),
    "inputs": (
        lambda b: b.add("Conv", INPUT, name="conv"),
        "shapes or types in the graph do not fit together: (op_type:Conv, node name: conv): Node with schema",
    ),
    "channels": (
        lambda b: b.conv(INPUT, 7, 4, 3, "conv"),
        "node 'conv' (Conv) reads 3 channels, but its weights are for 7; check --shape, or export the model again",
    ),
    "operator": (
        lambda b: b.add("Fold", INPUT, name="f"),
        "operators that are not supported: Fold (f); write that part of the network with other operators",
    ),
    "domain": (
        lambda b: b.add("Relu", b.add("Fold", INPUT, name="f", domain="com.example")),
        "operators that are not supported: com.example::Fold (f)",
    ),
}


@pytest.mark.parametrize("case", INCONSISTENT)
def test_graphs_that_contradict_themselves(case: str, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add, reason = INCONSISTENT[case]
    build = Builder()
    model = load_model(saved(build.model([1, 3, 8, 8], add(build)), path))
    with pytest.raises(UnsupportedModelError) as caught:
        simplify(model)
    assert str(caught.value).startswith(reason)
    assert not caplog.records


def test_a_loop_is_refused_by_name(path: Path) -> None:
    build = Builder()
    infos = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("i", 7), ("c", 9), ("v", 1))]
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in (("d", 9), ("w", 1))]
    nodes = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Neg", ["v"], ["w"])]
    body = helper.make_graph(nodes, "body", infos, outputs)
    looped = build.add("Loop", "", build.constant(np.array(True)), INPUT, body=body, name="again")
    with pytest.raises(UnsupportedModelError, match=r"operators that are not supported: Loop \(again\); export with"):
        simplify(load_model(saved(build.model([1, 3, 8, 8], looped), path)))


def test_nothing_is_warned_of(model: onnx.ModelProto, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simplify(load_model(saved(model, path)))


def test_both_names_of_the_onnx_operators_are_read(tmp_path):
    proto = masked_nets.masked_network(blocks=1)
    proto.opset_import[0].domain = "ai.onnx"
    onnx.save(proto, tmp_path / "m.onnx")
    assert load_model(tmp_path / "m.onnx").opset_imports[""] == proto.opset_import[0].version


def test_a_name_that_is_no_text_is_refused(path: Path) -> None:
    build = Builder()
    model = build.model((1, 3, 8, 8), build.conv(INPUT, 3, 4, 1, "marked"))
    content = model.SerializeToString()
    assert content.count(b"marked") > 1
    path.write_bytes(content.replace(b"marked", b"\xffarked", 1))
    with pytest.raises(UnsupportedModelError, match="a name is no text in UTF-8"):
        load_model(path)
