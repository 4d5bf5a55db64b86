"""What TVM computes otherwise than onnxruntime is computed otherwise here, or refused by name; never believed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lascompile.compile import build
from lascompile.errors import UnsupportedModelError
from lascompile.lower.delegated import translate, trust
from lascompile.target import can_run_here, parse_target
from tests.differential.harness import session_of
from tests.differential.networks import Net

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def built(net: Net, outputs: list[str], shape: tuple[int, ...], folder: Path, opset: int = 17, kind: int = FLOAT):
    """The artifact, and onnxruntime's session of the same model."""
    named = [net.add("Identity", name) for name in outputs]
    model = net.network(*named, inputs=[("x", kind, shape)])
    model.opset_import[0].version = opset
    model.ir_version = 9
    onnx.save(model, folder / "m.onnx")
    return build(folder / "m.onnx"), session_of(model)


def check(net: Net, outputs: list[str], x: np.ndarray, folder: Path, opset: int = 17) -> None:
    artifact, session = built(net, outputs, x.shape, folder, opset, onnx.helper.np_dtype_to_tensor_dtype(x.dtype))
    for name, got, expected in zip(outputs, artifact.run(x), session.run(None, {"x": x}), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6, equal_nan=True, err_msg=name)


MODES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@pytest.mark.parametrize("mode", MODES)
def test_the_nearest_pixel_is_onnxruntimes(mode: str, tmp_path: Path) -> None:
    net, outputs = Net(), []
    for rounding, size in itertools.product(ROUNDINGS, ((7, 13), (1, 64), (31, 4), (26, 1))):
        sizes = net.ints(1, 2, *size)
        attributes = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": rounding}
        outputs.append(net.add("Resize", "x", "", "", sizes, **attributes))
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 26)).astype(np.float32)
    check(net, outputs, x, tmp_path)


@pytest.mark.parametrize("alone", [True, False])
def test_the_nearest_pixel_does_not_depend_on_the_target(alone: bool, tmp_path: Path) -> None:
    """With fused multiply-add, 15 * 3 / 30 is not exactly 1.5, as it is without."""
    net = Net()
    scales = net.constant(np.array([1, 1, 7.75, 7.75], np.float32))
    attributes = {"coordinate_transformation_mode": "align_corners", "nearest_mode": "round_prefer_floor"}
    resized = net.add("Resize", "x", "", scales, mode="nearest", **attributes)
    output = resized if alone else net.add("Cos", resized)
    check(net, [output], np.random.default_rng(0).standard_normal((1, 1, 4, 4)).astype(np.float32), tmp_path)


def test_scales_that_are_no_whole_numbers(tmp_path: Path) -> None:
    net, outputs = Net(), []
    for mode, scale in itertools.product(MODES, (2.5, 0.6, 1.3)):
        scales = net.constant(np.array([1, 1, scale, scale], np.float32))
        attributes = {"mode": "nearest", "coordinate_transformation_mode": mode}
        outputs.append(net.add("Resize", "x", "", scales, **attributes))
    check(net, outputs, np.random.default_rng(0).standard_normal((1, 2, 6, 7)).astype(np.float32), tmp_path)


def test_softplus_of_large_numbers_is_they_themselves(tmp_path: Path) -> None:
    net = Net()
    x = np.array([[-200, -90, -1, 0, 1, 20, 90, 200, 1e4]], np.float32)
    check(net, [net.add("Softplus", "x")], x, tmp_path)


def test_the_sign_of_an_infinity_that_is_asked_for(tmp_path: Path) -> None:
    net, outputs = Net(), []
    for positive, negative in itertools.product((0, 1), repeat=2):
        is_inf = net.add("IsInf", "x", detect_positive=positive, detect_negative=negative)
        outputs.append(net.add("Cast", is_inf, to=FLOAT))
    check(net, outputs, np.array([[np.inf, -np.inf, np.nan, 1]], np.float32), tmp_path)


def test_depth_and_space_change_places(tmp_path: Path) -> None:
    net = Net()
    outputs = [net.add("SpaceToDepth", "x", blocksize=2)]
    outputs += [net.add("DepthToSpace", "x", blocksize=2, mode=mode) for mode in ("DCR", "CRD")]
    check(net, outputs, np.arange(2 * 8 * 4 * 6, dtype=np.float32).reshape(2, 8, 4, 6), tmp_path)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_pads(mode: str, tmp_path: Path) -> None:
    net = Net()
    fill = net.number(2.5)
    outputs = [net.add("Pad", "x", net.ints(0, 0, 1, 2, 0, 0, 2, 1), fill, mode=mode)]
    check(net, outputs, np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4), tmp_path)


REFUSED: dict[str, Callable[[Net], str]] = {
    "ConvTranspose": lambda net: net.add(
        "ConvTranspose", "x", net.constant(np.ones((2, 2, 3, 3), np.float32)), strides=[2, 2], output_shape=[8, 10]
    ),
    "Resize": lambda net: net.add(
        "Resize", "x", "", net.constant(np.array([1, 1, 2.5, 2.5], np.float32)), mode="linear",
        coordinate_transformation_mode="half_pixel",
    ),
}  # fmt: skip


@pytest.mark.parametrize("operator", REFUSED)
def test_it_is_right_or_refused_by_name(operator: str, tmp_path: Path) -> None:
    net = Net()
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 5)).astype(np.float32)
    try:
        check(net, [REFUSED[operator](net)], x, tmp_path)
    except UnsupportedModelError as error:
        assert f"({operator}) is not compiled: TVM " in str(error)


def test_infinities_alone(tmp_path: Path) -> None:
    """TVM begins a maximum with the largest finite number, and an index with none."""
    net, outputs = Net(), []
    for operator in ("ReduceMax", "ReduceMin"):
        outputs += [net.add(operator, "x", axes=[1], keepdims=keep) for keep in (0, 1)]
    for operator, last in itertools.product(("ArgMax", "ArgMin"), (0, 1)):
        index = net.add(operator, "x", axis=1, select_last_index=last)
        outputs.append(net.add("Cast", index, to=FLOAT))
    x = np.array([[-np.inf] * 3, [np.inf] * 3, [1, -np.inf, 2], [np.inf, 0, np.inf]], np.float32)
    check(net, outputs, x, tmp_path)


def test_dropout_that_may_be_random_is_refused(tmp_path: Path) -> None:
    net = Net()
    mode = net.add("Greater", net.add("ReduceMax", "x", keepdims=0), net.number(0))
    dropped = net.add("Dropout", "x", net.number(0.5), mode, name="drop")
    with pytest.raises(UnsupportedModelError, match=r"^drop \(Dropout\) is not compiled: whether it drops out"):
        built(net, [dropped], (1, 5), tmp_path)


def test_an_output_without_elements_is_refused(tmp_path: Path) -> None:
    net = Net()
    cut = net.add("Slice", "x", net.ints(2), net.ints(1), net.ints(1))
    with pytest.raises(UnsupportedModelError, match="has no elements"):
        built(net, [cut], (1, 5), tmp_path)


def test_a_group_that_computes_something_else_is_taken_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the node at fault is named."""
    lied = translate.translate

    def lies(model: onnx.ModelProto):
        """Sinh is computed as Cosh."""
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        for node in changed.graph.node:
            node.op_type = "Cosh" if node.op_type == "Sinh" else node.op_type
        return lied(changed)

    monkeypatch.setattr("lascompile.lower.delegated.delegate.translate", lies)
    monkeypatch.setattr(trust, "_COMPARED", {})
    net = Net()
    total = net.add("Tanh", net.add("Sinh", net.add("Atan", "x"), name="culprit"))
    with pytest.raises(UnsupportedModelError, match=r"^culprit \(Sinh\) is not compiled: TVM computes .* where onnxru"):
        built(net, [total], (1, 5), tmp_path)


def test_what_tvm_writes_is_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = Net()
    net.nodes.append(onnx.helper.make_node("MaxPool", ["x"], ["values", "indices"], "pool", kernel_shape=[2, 2]))
    onnx.save(net.network("values", "indices"), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedModelError):
        build(tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_compared_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_COMPARED", {})
    monkeypatch.setattr(trust, "_inputs", lambda model, session: iter([{"v0": np.zeros((9, 9), np.float32)}]))
    net = Net()
    with pytest.raises(UnsupportedModelError, match="onnxruntime refused all inputs that were tried"):
        built(net, [net.add("Sinh", "x")], (1, 5), tmp_path)


def test_it_is_compared_as_it_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_COMPARED", {})
    net = Net()
    built(net, [net.add("Sinh", "x")], (1, 5), tmp_path)
    assert {target for _, target in trust._COMPARED} == {parse_target("llvm")}
    assert not can_run_here(parse_target("llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"))


def test_one_model_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "_COMPARED", {})
    compared: list[bytes] = []
    compare = trust._compare

    def counted(model: onnx.ModelProto, content: bytes, module: Any, target: Any) -> str | None:
        compared.append(content)
        return compare(model, content, module, target)

    monkeypatch.setattr(trust, "_compare", counted)
    net = Net()
    built(net, [net.add("Sinh", "x"), net.add("Sinh", net.relu("x"))], (1, 5), tmp_path)
    assert len(compared) == len(set(compared))
