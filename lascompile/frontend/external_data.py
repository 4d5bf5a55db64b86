"""Weights that lie in files beside the model, read after what the model says of them was checked.

`onnx.load` refuses files that are links. But a hub's cache holds a model and its data as links, into a folder where
each file is named by its content. So links are followed here; what a model may not do is to name a file outside its
folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

_ITEM_BITS: dict[int, int] = {
    TensorProto.FLOAT: 32, TensorProto.UINT8: 8, TensorProto.INT8: 8, TensorProto.UINT16: 16, TensorProto.INT16: 16,
    TensorProto.INT32: 32, TensorProto.INT64: 64, TensorProto.BOOL: 8, TensorProto.FLOAT16: 16,
    TensorProto.DOUBLE: 64, TensorProto.UINT32: 32, TensorProto.UINT64: 64, TensorProto.BFLOAT16: 16,
}  # fmt: skip
"""By element type; the length of others is not checked."""


def load_external_data(model: ModelProto, folder: Path) -> None:
    """Put into `model` what its tensors leave to files in `folder`.

    Raises:
        ValueError: A place is no number, outside its file, or of another size than the tensor, or a file is named that
            does not lie in the folder.
        OSError: A file cannot be read.
    """
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.raw_data = _read(tensor, folder)
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]


def _read(tensor: TensorProto, folder: Path) -> bytes:
    said = {entry.key: entry.value for entry in tensor.external_data}
    location = Path(said.get("location", ""))
    if not location.name or location.is_absolute() or ".." in location.parts:
        raise ValueError(f"tensor {tensor.name!r} lies in {str(location)!r}, which is no file beside the model")
    path = folder / location
    size = path.stat().st_size
    offset = _number(tensor, said, "offset", 0)
    length = _number(tensor, said, "length", max(0, size - offset))
    if offset + length > size:
        raise ValueError(f"tensor {tensor.name!r} ends at byte {offset + length} of {path.name}, which has {size}")
    needed = _size(tensor)
    if needed is not None and length != needed:
        raise ValueError(f"tensor {tensor.name!r} has {length} bytes in {path.name}, but its shape needs {needed}")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _number(tensor: TensorProto, said: dict[str, str], name: str, default: int) -> int:
    text = said.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"the {name} of tensor {tensor.name!r} is {text!r}, which is no number of bytes")
    return int(text)


def _size(tensor: TensorProto) -> int | None:
    bits = _ITEM_BITS.get(tensor.data_type)
    if bits is None:
        return None
    count = 1
    for dim in tensor.dims:
        count *= dim
    return count * bits // 8


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: list[onnx.NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from _of_attribute(attribute)


def _of_attribute(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    if attribute.HasField("g"):
        yield from _of_graph(attribute.g)
    for graph in attribute.graphs:
        yield from _of_graph(graph)
