"""Read an ONNX file, or say in one line why it cannot be compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from lascompile.errors import UnsupportedModelError, UsageError

MINIMUM_OPSET = 11

# Operators that only a graph in training mode holds, and what puts them there.
TRAINING_OPERATORS = {
    "RandomUniformLike": "Gumbel noise of a masker",
    "RandomNormalLike": "random noise",
    "RandomUniform": "random noise",
    "RandomNormal": "random noise",
    "Bernoulli": "random sampling",
    "Multinomial": "random sampling",
}


def load_model(path: str | Path, shapes: Mapping[str, Sequence[int]] | None = None) -> ir.Model:
    """Read `path` as an inference graph whose input shapes are all static.

    Args:
        path: An ONNX file; external data files are looked for beside it.
        shapes: Shape by input name, for inputs that the file leaves dynamic.

    Raises:
        UsageError: The file is missing, or an input is dynamic and `shapes` does not name it.
        UnsupportedModelError: The file is no ONNX model, is truncated, is in training mode, or is of an
            opset or element type that is not compiled.
    """
    model = _read(Path(path))
    _check_opset(model, path)
    _set_input_shapes(model, dict(shapes or {}))
    _check_inference_mode(model)
    _check_element_types(model)
    return model


def _read(path: Path) -> ir.Model:
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give the ONNX file that PyTorch exported")
    try:
        proto = onnx.load(path)
    except DecodeError:
        raise UnsupportedModelError(
            f"{path}: not an ONNX file, or cut off in the middle ({path.stat().st_size:,} bytes); export it again"
        ) from None
    except (OSError, onnx.checker.ValidationError) as error:
        raise UnsupportedModelError(
            f"{path}: its external data cannot be read ({error}); keep the .data file beside the model"
        ) from None
    if not proto.graph.node or not proto.opset_import:
        raise UnsupportedModelError(f"{path}: not an ONNX model, since it holds no operators; export it again")
    try:
        return ir.from_proto(proto)
    except Exception as error:  # any malformed field: the deserialiser has no exception type of its own
        raise UnsupportedModelError(f"{path}: the ONNX graph is malformed ({error}); export it again") from None


def _check_opset(model: ir.Model, path: str | Path) -> None:
    version = model.opset_imports.get("", 0)
    if version < MINIMUM_OPSET:
        raise UnsupportedModelError(
            f"{path}: opset {version}, but at least {MINIMUM_OPSET} is needed; export with opset_version=17"
        )


def _set_input_shapes(model: ir.Model, shapes: dict[str, Sequence[int]]) -> None:
    inputs = {value.name: value for value in model.graph.inputs if value.name not in model.graph.initializers}
    unknown = [name for name in shapes if name not in inputs]
    if unknown:
        raise UsageError(f"--shape names {unknown[0]!r}, but the model's inputs are {', '.join(map(str, inputs))}")
    for name, value in inputs.items():
        dims = list(value.shape) if value.shape is not None else None
        if name in shapes:
            _check_shape_fits(str(name), shapes[str(name)], dims)
            value.shape = ir.Shape(shapes[str(name)])
            _forget_inferred_shapes(model)
        elif dims is None or not all(isinstance(dim, int) and dim > 0 for dim in dims):
            shown = "x".join(str(dim) for dim in dims) if dims is not None else "unknown"
            raise UsageError(
                f"input {name!r} has the dynamic shape {shown}; name a static one, as in --shape {name}=1,3,224,224"
            )


def _check_shape_fits(name: str, wanted: Sequence[int], dims: list | None) -> None:
    fits = all(isinstance(size, int) and size > 0 for size in wanted) and (
        dims is None
        or (
            len(dims) == len(wanted)
            and all(not isinstance(dim, int) or dim == size for dim, size in zip(dims, wanted, strict=True))
        )
    )
    if not fits:
        shown = "x".join(str(dim) for dim in dims or [])
        raise UsageError(f"--shape {name}={','.join(map(str, wanted))} does not fit the model's input of shape {shown}")


def _forget_inferred_shapes(model: ir.Model) -> None:
    """Drop the recorded shapes of intermediate values, which belong to the dynamic shape; inference redoes them."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None


def _check_inference_mode(model: ir.Model) -> None:
    for node in model.graph.all_nodes():
        cause = TRAINING_OPERATORS.get(node.op_type)
        if cause is None and node.op_type in ("Dropout", "BatchNormalization") and _trains(node):
            cause = f"{node.op_type} that updates"
        if cause is not None:
            raise UnsupportedModelError(
                f"node {node.name!r} ({node.op_type}) is {cause}: the graph was exported in training mode; call "
                "model.eval() on the outermost module before torch.onnx.export"
            )


def _trains(node: ir.Node) -> bool:
    if node.op_type == "BatchNormalization":
        mode = node.attributes.get("training_mode")
        return mode is not None and bool(mode.as_int())
    mode_input = node.inputs[2] if len(node.inputs) > 2 else None
    if mode_input is None:
        return False
    constant = mode_input.const_value
    return constant is not None and bool(constant.numpy())


def _check_element_types(model: ir.Model) -> None:
    low = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        if value.dtype in low:
            raise UnsupportedModelError(
                f"{value.name!r} is {value.dtype.name.lower()}, but float32 is what is compiled; "
                "export the float32 model"
            )
