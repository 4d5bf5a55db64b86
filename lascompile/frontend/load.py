"""Read an ONNX file, or say in one line why it cannot be compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx_ir.passes import common as ir_passes

from lascompile.errors import UnsupportedModelError, UsageError
from lascompile.frontend.external_data import load_external_data
from lascompile.frontend.silence import silent

MINIMUM_OPSET = 11
_EXPORT_OPSET = 18

# Operators that a network in inference mode has no use for, and what puts them there.
_NOISE = {
    "RandomUniformLike": "random noise, as of a masker's Gumbel softmax",
    "RandomNormalLike": "random noise",
    "RandomUniform": "random noise",
    "RandomNormal": "random noise",
    "Bernoulli": "random sampling",
    "Multinomial": "random sampling",
}
# The first bytes of files that are given by mistake.
_OTHER_FILES = {
    b"PK\x03\x04": "a ZIP archive, perhaps a PyTorch checkpoint; export the model with torch.onnx.export",
    b"\x89PNG": "a PNG image; give the ONNX file that PyTorch exported",
    b"\x80": "a pickle, perhaps a PyTorch checkpoint; export the model with torch.onnx.export",
}
_AUTO_PAD = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
# An ONNX file begins with field 1, the version of its format.
_FIRST_BYTE = b"\x08"


def load_model(path: str | Path, shapes: Mapping[str, Sequence[int]] | None = None) -> ir.Model:
    """Read `path` as an inference graph whose input shapes are all static.

    Args:
        path: An ONNX file; external data files are looked for beside it.
        shapes: Shape by input name, for inputs that the file leaves dynamic.

    Raises:
        UsageError: The file is missing, or an input is dynamic and `shapes` does not name it.
        UnsupportedModelError: The file is no ONNX model, is truncated, is in training mode, or is of an
            opset or input type that is not compiled.
    """
    path = Path(path)
    model = _read(path)
    # Files of the first format versions list weights among the inputs, as something a caller may replace.
    ir_passes.RemoveInitializersFromInputsPass()(model)
    _set_input_shapes(model, dict(shapes or {}))
    _check_connected(model, path)
    _check_inference_mode(_with_functions_inlined(model, path))
    _check_input_types(model)
    _check_padding(model)
    return model


def _read(path: Path) -> ir.Model:
    _check_is_file(path)
    try:
        proto = onnx.load(path, load_external_data=False)
        load_external_data(proto, path.parent)
    except DecodeError:
        raise UnsupportedModelError(f"{path}: {_describe(path)}") from None
    except (OSError, ValueError) as error:
        raise UnsupportedModelError(
            f"{path}: its external data cannot be read ({_in_one_line(error)}); keep the .data file beside the model"
        ) from None
    if not proto.graph.node or not proto.opset_import:
        raise UnsupportedModelError(f"{path}: {_describe(path)}")
    for opset in proto.opset_import:
        opset.domain = "" if opset.domain == "ai.onnx" else opset.domain  # two names of the same operators
    _check_opset(proto, path)
    _check_names(proto, path)
    try:
        with silent("onnx_ir"):
            model = ir.from_proto(proto)
        model.graph.sort()
        return model
    except Exception as error:  # any malformed field: the deserialiser has no exception type of its own
        raise UnsupportedModelError(
            f"{path}: the ONNX graph is malformed ({_in_one_line(error)}); export it again"
        ) from None


def _check_names(proto: onnx.ModelProto, path: Path) -> None:
    """Protobuf hands out bytes where a string is no text; nothing that reads the graph expects that."""
    graph = proto.graph
    named = (*graph.input, *graph.output, *graph.initializer, *graph.node)
    texts = [entry.name for entry in named] + [name for node in graph.node for name in (*node.input, *node.output)]
    if any(isinstance(text, bytes) for text in texts):
        raise UnsupportedModelError(f"{path}: the ONNX file is damaged: a name is no text in UTF-8; export it again")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the ONNX file itself")
    if not path.is_file():
        raise UsageError(f"{path}: no such file; give the ONNX file that PyTorch exported")


def _describe(path: Path) -> str:
    """What a file is that cannot be read as an ONNX model, and what to do."""
    size = path.stat().st_size
    if size == 0:
        return "the file is empty; export the model again"
    with path.open("rb") as file:
        start = file.read(8)
    for magic, what in _OTHER_FILES.items():
        if start.startswith(magic):
            return f"not an ONNX file but {what}"
    if start.startswith(_FIRST_BYTE):
        return f"the ONNX file is damaged or cut off (it has {size:,} bytes); export or copy it again"
    return "not an ONNX file; give the one that PyTorch exported"


def _check_opset(proto: onnx.ModelProto, path: Path) -> None:
    version = max((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    newest = onnx.defs.onnx_opset_version()
    if version < MINIMUM_OPSET:
        raise UnsupportedModelError(
            f"{path}: opset {version}, but at least {MINIMUM_OPSET} is needed; "
            f"export with opset_version={_EXPORT_OPSET}"
        )
    if version > newest:
        raise UnsupportedModelError(
            f"{path}: opset {version}, but the installed onnx {onnx.__version__} knows up to {newest}; "
            f"upgrade onnx, or export with opset_version={_EXPORT_OPSET}"
        )


def _set_input_shapes(model: ir.Model, shapes: dict[str, Sequence[int]]) -> None:
    inputs = {str(value.name): value for value in model.graph.inputs}
    unknown = [name for name in shapes if name not in inputs]
    if unknown:
        raise UsageError(f"--shape names {unknown[0]!r}, but the model's inputs are {', '.join(inputs)}")
    for name, value in inputs.items():
        dims = list(value.shape) if value.shape is not None else None
        if name in shapes:
            _check_shape_fits(name, shapes[name], dims)
            value.shape = ir.Shape(shapes[name])
        elif dims is not None and 0 in dims:
            raise UnsupportedModelError(
                f"input {name!r} has the shape {_show(dims)}: there is nothing to compute in a dimension of 0; export "
                "the model for an input that has elements"
            )
        elif dims is None or not all(isinstance(dim, int) and dim > 0 for dim in dims):
            raise UsageError(
                f"input {name!r} has the dynamic shape {_show(dims)}; "
                f"name a static one, as in --shape {name}={_example(dims)}"
            )
    if shapes:
        _forget_inferred_shapes(model)


def _check_connected(model: ir.Model, path: Path) -> None:
    """Check that there is an output, and that something provides every value that is read."""
    if not model.graph.outputs:
        raise UnsupportedModelError(f"{path}: the model has no outputs; export it again")
    read = [(f"node {node.name!r}", value) for node in model.graph for value in node.inputs if value is not None]
    read += [("the model", value) for value in model.graph.outputs]
    for reader, value in read:
        if value.producer() is None and not value.is_graph_input() and not value.is_initializer():
            raise UnsupportedModelError(
                f"{path}: {reader} needs {value.name!r}, which nothing computes; export the model again"
            )


def _show(dims: Sequence[int | ir.SymbolicDim] | None) -> str:
    if dims is None:
        return "of unknown rank"
    return "x".join(str(dim) if isinstance(dim, int) else str(dim.value or "?") for dim in dims)


def _example(dims: Sequence[int | ir.SymbolicDim] | None) -> str:
    """A static shape that fits `dims`: one image of 224 pixels, where nothing else is said."""
    usual = (1, 3, 224, 224)
    if dims is None or len(dims) != len(usual):
        return ",".join(map(str, usual))
    return ",".join(
        str(dim if isinstance(dim, int) and dim > 0 else default) for dim, default in zip(dims, usual, strict=True)
    )


def _check_shape_fits(name: str, wanted: Sequence[int], dims: list[int | ir.SymbolicDim] | None) -> None:
    positive = all(isinstance(size, int) and size > 0 for size in wanted)
    same_rank = dims is None or len(dims) == len(wanted)
    if not positive or not same_rank or (dims is not None and not _agree(dims, wanted)):
        text = ",".join(map(str, wanted))
        raise UsageError(f"--shape {name}={text} does not fit the model's input, which is {_show(dims)}")


def _agree(dims: Sequence[int | ir.SymbolicDim], wanted: Sequence[int]) -> bool:
    return all(not isinstance(dim, int) or dim == size for dim, size in zip(dims, wanted, strict=True))


def _forget_inferred_shapes(model: ir.Model) -> None:
    """Drop the recorded shapes of what nodes compute, which are for the dynamic shape; inference redoes them."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None


def _with_functions_inlined(model: ir.Model, path: Path) -> ir.Model:
    """`model`, or, if it has functions of its own, a copy without: what a function does may depend on its call."""
    if not model.functions:
        return model
    copy = model.clone()
    try:
        with silent("onnx_ir"):
            ir_passes.InlinePass()(copy)
    except Exception as error:  # functions that call each other, too many arguments: the pass has no type of its own
        raise UnsupportedModelError(
            f"{path}: the model's functions are malformed ({_in_one_line(error)}); export it again"
        ) from None
    return copy


def _check_inference_mode(model: ir.Model) -> None:
    for node in model.graph.all_nodes():
        cause = _NOISE.get(node.op_type)
        if cause is None and _trains(node):
            cause = "updated or random during training"
        if cause is not None:
            raise UnsupportedModelError(
                f"node {node.name!r} ({node.op_type}) is {cause}: the graph was exported in training mode; "
                "call model.eval() on the outermost module before torch.onnx.export"
            )


def _trains(node: ir.Node) -> bool:
    """True for a batch norm or dropout that does what it does in training."""
    if node.op_type == "BatchNormalization":
        # Before opset 14 the further outputs, the new statistics, tell.
        updates = [value for value in node.outputs[1:] if value.name]
        return bool(node.attributes.get_int("training_mode", 0)) or bool(updates)
    mode = node.inputs[2] if node.op_type == "Dropout" and len(node.inputs) > 2 else None
    known = ir.convenience.get_const_tensor(mode) if mode is not None else None
    return known is not None and bool(known.numpy())


def _check_padding(model: ir.Model) -> None:
    for node in model.graph.all_nodes():
        padding = node.attributes.get_string("auto_pad", "NOTSET")
        if padding not in _AUTO_PAD:
            raise UnsupportedModelError(
                f"node {node.name!r} ({node.op_type}) has auto_pad {padding!r}, ONNX knows {', '.join(_AUTO_PAD)}; "
                "export the model again"
            )


def _check_input_types(model: ir.Model) -> None:
    wide = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE}
    for value in model.graph.inputs:
        if value.dtype in wide:
            raise UnsupportedModelError(
                f"input {value.name!r} is {value.dtype.name.lower()}, but float32 is what is compiled; "
                "export the float32 model"
            )
