"""Convolutions: demand is dilated by the kernel and carried back over the stride."""

from __future__ import annotations

import onnx_ir as ir

from lascompile.analysis.demand import Demand, Window, everywhere


def demand_on_inputs(node: ir.Node, output: Demand) -> list[Demand]:
    """The input is needed wherever the window of a needed output pixel reaches; the weights entirely."""
    window = window_of(node) if has_constant_weights(node) else None
    on_map = everywhere(node) if window is None else output.through(window)
    return [on_map, *[everywhere(node)] * (len(node.inputs) - 1)]


def has_constant_weights(node: ir.Node) -> bool:
    """True if the weights, and the bias if there is one, are known at build time, as packing them needs."""
    return all(value is None or value.const_value is not None for value in node.inputs[1:])


def window_of(node: ir.Node) -> Window | None:
    """The window of a two-dimensional convolution or pooling; None for other ranks.

    Attributes left out take the values that the ONNX specification gives them.
    """
    source, result = node.inputs[0], node.outputs[0]
    if source is None or source.shape is None or result.shape is None or len(source.shape) != 4:
        return None
    height, width = int(source.shape[2]), int(source.shape[3])  # type: ignore[arg-type]
    kernel = _kernel(node)
    stride = _pair(node, "strides", (1, 1))
    dilation = _pair(node, "dilations", (1, 1))
    output_size = (int(result.shape[2]), int(result.shape[3]))  # type: ignore[arg-type]
    pad = _pad(node, kernel, stride, dilation, (height, width), output_size)
    return Window(kernel, stride, pad, dilation, (height, width), output_size)


def _kernel(node: ir.Node) -> tuple[int, int]:
    if "kernel_shape" in node.attributes:
        return _pair(node, "kernel_shape", (1, 1))
    weight = node.inputs[1]
    assert weight is not None and weight.shape is not None
    return int(weight.shape[2]), int(weight.shape[3])  # type: ignore[arg-type]


def _pair(node: ir.Node, name: str, default: tuple[int, int]) -> tuple[int, int]:
    attribute = node.attributes.get(name)
    values = tuple(attribute.as_ints()) if attribute is not None else default
    return int(values[0]), int(values[1])


def _pad(
    node: ir.Node,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    size: tuple[int, int],
    output_size: tuple[int, int],
) -> tuple[int, int]:
    """Zeros before the first row and column; those after the last follow from the output size."""
    auto = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    if auto == "VALID":
        return 0, 0
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        reach = [(output_size[axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] for axis in (0, 1)]
        total = [max(reach[axis] + 1 - size[axis], 0) for axis in (0, 1)]
        first = [(t + 1) // 2 if auto == "SAME_LOWER" else t // 2 for t in total]
        return first[0], first[1]
    attribute = node.attributes.get("pads")
    pads = tuple(attribute.as_ints()) if attribute is not None else (0, 0, 0, 0)
    return int(pads[0]), int(pads[1])
