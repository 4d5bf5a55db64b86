"""One expression or more for each operator that is compiled, by family and input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.differential.networks import Net, Value

Expression = Callable[[Net], str]
"""Adds nodes that read the family's inputs, and returns the name of what they compute."""

MAP: Value = ("x", TensorProto.FLOAT, (2, 6, 4, 5))


@dataclass(frozen=True)
class Family:
    """Expressions of the same inputs, which are compiled together."""

    expressions: Mapping[str, Expression]
    inputs: tuple[Value, ...] = (MAP,)
    opset: int = 17
    values: Mapping[str, np.ndarray] = field(default_factory=dict)


def of_x(operator: str, *numbers: float, **attributes: Any) -> Expression:
    """`operator` of x and constant scalars."""
    return lambda net: net.add(operator, "x", *(net.number(number) for number in numbers), **attributes)


def of_size(operator: str, *numbers: float, **attributes: Any) -> Expression:
    """`operator` of |x|."""
    return lambda net: net.add(operator, net.add("Abs", "x"), *(net.number(n) for n in numbers), **attributes)


def with_ints(operator: str, *values: tuple[int, ...], **attributes: Any) -> Expression:
    """`operator` of x and constant vectors of int64."""
    return lambda net: net.add(operator, "x", *(net.ints(*value) for value in values), **attributes)


def with_index(operator: str, index: object, **attributes: Any) -> Expression:
    return lambda net: net.add(operator, "x", net.constant(np.array(index, np.int64)), **attributes)


def of_truth(operator: str) -> Expression:
    """`operator` of two maps of bool."""
    return lambda net: net.add(operator, net.add("Greater", "x", net.number(0)), net.add("Less", "x", net.number(0.5)))


def compared(operator: str) -> Expression:
    """`operator` of small whole numbers, so that some are equal."""
    return lambda net: net.add(operator, net.add("Round", "x"), net.add("Round", net.add("Mul", "x", net.number(2))))


def with_column(operator: str, **attributes: Any) -> Expression:
    """`operator` of |x| and a vector that is broadcast over its last axis."""
    column = np.array([0.5, 1, 2, 3, 4], np.float32)
    return lambda net: net.add(operator, net.add("Abs", "x"), net.constant(column), **attributes)


def parts(operator: str, count: int, *inputs: tuple[int, ...], **attributes: Any) -> Expression:
    """The last output less the first one, of an operator of several."""

    def expression(net: Net) -> str:
        name = f"parts{len(net.nodes)}"
        outputs = [f"{name}:{i}" for i in range(count)]
        given = ["x", *(net.ints(*values) for values in inputs)]
        net.nodes.append(helper.make_node(operator, given, outputs, name, **attributes))
        return net.add("Concat", outputs[-1], outputs[0], axis=1)

    return expression


def drawn(*shape: int) -> Callable[[Net], str]:
    """A constant of random numbers."""
    return lambda net: net.constant(net.rng.standard_normal(shape).astype(np.float32))


def with_weights(operator: str, *shapes: tuple[int, ...], **attributes: Any) -> Expression:
    return lambda net: net.add(operator, "x", *(drawn(*shape)(net) for shape in shapes), **attributes)


def names(**expressions: Expression) -> dict[str, Expression]:
    return expressions


FUNCTIONS = (
    "Abs Atan Ceil Cos Cosh Elu Erf Exp Floor HardSigmoid HardSwish Identity IsNaN LeakyRelu Neg Reciprocal Relu Round "
    "Selu Sigmoid Sign Sin Sinh Softplus Softsign Tanh ThresholdedRelu"
).split()


def resize(mode: str, place: str, nearest: str = "round_prefer_floor") -> Expression:
    attributes = {"mode": mode, "coordinate_transformation_mode": place, "nearest_mode": nearest}
    return lambda net: net.add("Resize", "x", "", "", net.ints(2, 6, 9, 10), **attributes)


WINDOW: dict[str, Any] = {"kernel_shape": [3, 3]}
PADDED: dict[str, Any] = {**WINDOW, "pads": [1, 0, 1, 1]}
ROUNDED_UP: dict[str, Any] = {**WINDOW, "strides": [2, 2], "ceil_mode": 1}

FAMILIES: dict[str, Family] = {
    "functions": Family(
        {operator: of_x(operator) for operator in FUNCTIONS}
        | names(
            elu=of_x("Elu", alpha=0.3),
            hard_sigmoid=of_x("HardSigmoid", alpha=0.1, beta=0.4),
            leaky_relu=of_x("LeakyRelu", alpha=0.3),
            sqrt=of_size("Sqrt"),
            log=of_size("Log"),
            is_inf=lambda net: net.add("IsInf", net.add("Reciprocal", net.add("Relu", net.add("Round", "x")))),
            clip=of_x("Clip", -0.5, 0.5),
            clip_above=lambda net: net.add("Clip", "x", "", net.number(0.5)),
            clip_below=of_x("Clip", -0.5),
            clip_nowhere=of_x("Clip"),
            prelu=lambda net: net.add("PRelu", "x", net.constant(np.full((6, 1, 1), 0.2, np.float32))),
        )
    ),
    "arithmetic": Family(
        {f"{op}_row": with_column(op) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Pow")}
        | {f"{op}_number": of_x(op, 0.5) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")}
        | {
            op: lambda net, op=op: net.add(op, "x", net.add("Neg", "x"), net.number(0.2))
            for op in ("Max", "Sum", "Mean")
        }
        | names(
            mod=with_column("Mod", fmod=1),
            square=with_index("Pow", 2),
            from_number=lambda net: net.add("Sub", net.number(1), "x"),
        )
    ),
    "integers": Family(
        {f"{op}{by}": with_index(op, by) for op in ("Add", "Sub", "Mul", "Div", "Mod", "Max", "Min") for by in (3, -2)}
        | {op: of_x(op) for op in ("Abs", "Neg", "Sign")}
        | names(
            clip=lambda net: net.add("Clip", "x", *(net.constant(np.array(i, np.int64)) for i in (-1, 2))),
            sum=with_ints("ReduceSum", (0,)),
            largest=of_x("ReduceMax", axes=[0]),
            to_float=of_x("Cast", to=TensorProto.FLOAT),
            to_bool=of_x("Cast", to=TensorProto.BOOL),
            equal=with_index("Equal", 1),
            greater=with_index("Greater", 1),
        ),
        inputs=(("x", TensorProto.INT64, (7,)),),
        values={"x": np.array([-7, -3, -1, 0, 1, 3, 7], np.int64)},
    ),
    "decisions": Family(
        {op: compared(op) for op in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")}
        | {op: of_truth(op) for op in ("And", "Or", "Xor")}
        | {
            f"{op}_{name}": lambda net, op=op, attributes=attributes: net.add(op, net.add("Round", "x"), **attributes)
            for op in ("ArgMax", "ArgMin")
            for name, attributes in {
                "axis": {"axis": 1},
                "dropped": {"axis": -1, "keepdims": 0},
                "last": {"axis": 1, "select_last_index": 1},
            }.items()
        }
        | {f"cast_{to}": lambda net, to=to: net.add("Cast", net.add("Abs", "x"), to=to) for to in (2, 6, 7, 9)}
        | names(
            negation=lambda net: net.add("Not", net.add("Greater", "x", net.number(0))),
            truncation=of_x("Cast", to=TensorProto.INT32),
            choice=lambda net: net.add("Where", net.add("Greater", "x", net.number(0)), "x", net.number(3)),
        )
    ),
    "indexing": Family(
        names(
            gather_first=with_index("Gather", 1, axis=1),
            gather_last=with_index("Gather", -1, axis=2),
            gather_several=with_index("Gather", [0, 2, -1], axis=1),
            gather_table=with_index("Gather", [[0, 1], [2, 0]], axis=3),
            gather_computed=lambda net: net.add("Gather", "x", "i", axis=1),
            gather_points=with_index("GatherND", [[0, 1], [1, 3]]),
            gather_elements=with_index("GatherElements", np.ones((2, 6, 2, 5)), axis=2),
            slice_steps=with_ints("Slice", (1, 0), (5, 2**62), (1, 3), (2, 1)),
            slice_backwards=with_ints("Slice", (-1,), (-(2**62),), (3,), (-1,)),
            slice_from_end=with_ints("Slice", (-3,), (-1,), (1,)),
            concat=lambda net: net.add("Concat", "x", net.add("Neg", "x"), axis=-1),
            split_sizes=parts("Split", 2, (2, 4), axis=1),
            split_equally=parts("Split", 3, axis=1),
            scatter_elements=lambda net: net.add(
                "ScatterElements", "x", net.constant(np.ones((1, 1, 1, 1), np.int64)), drawn(1, 1, 1, 1)(net), axis=1
            ),
            scatter_points=lambda net: net.add("ScatterND", "x", net.constant(np.array([[0, 1, 2]])), drawn(1, 5)(net)),
        ),
        inputs=(MAP, ("i", TensorProto.INT64, (3,))),
        values={"i": np.array([4, 0, 4], np.int64)},
    ),
    "shapes": Family(
        names(
            reshape=with_ints("Reshape", (0, 2, -1, 5)),
            flatten=of_x("Flatten", axis=2),
            flatten_all=of_size("Flatten", axis=0),
            unsqueeze=with_ints("Unsqueeze", (0, 3)),
            squeeze=lambda net: net.add("Squeeze", net.add("ReduceMax", "x", axes=[1]), net.ints(1)),
            transpose=of_x("Transpose", perm=[0, 2, 3, 1]),
            reverse=of_x("Transpose"),
            tile=with_ints("Tile", (1, 2, 1, 3)),
            expand=lambda net: net.add("Expand", net.add("ReduceMax", "x", axes=[1]), net.ints(2, 3, 4, 5)),
            expand_rank=with_ints("Expand", (2, 2, 6, 4, 5)),
            pad=lambda net: net.add("Pad", "x", net.ints(0, 1, 2, 0, 0, 0, 1, 3), net.number(0.5)),
            pad_zeros=with_ints("Pad", (0, 0, 1, 1, 0, 0, 1, 1)),
            pad_reflect=with_ints("Pad", (0, 0, 2, 1, 0, 0, 1, 3), mode="reflect"),
            pad_edge=with_ints("Pad", (0, 0, 2, 1, 0, 0, 1, 3), mode="edge"),
            crop=with_ints("Pad", (0, 0, -1, 0, 0, 0, 0, -1)),
            space_to_depth=lambda net: net.add("SpaceToDepth", net.add("Pad", "x", net.ints(*[0] * 7, 1)), blocksize=2),
            depth_to_space=lambda net: net.add("DepthToSpace", net.add("Tile", "x", net.ints(1, 2, 1, 1)), blocksize=2),
            depth_to_space_crd=lambda net: net.add(
                "DepthToSpace", net.add("Tile", "x", net.ints(1, 2, 1, 1)), blocksize=2, mode="CRD"
            ),
        )
    ),
    "reductions": Family(
        {
            op: of_size(op, axes=[1], keepdims=1)
            for op in ("ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSumExp")
        }
        | {
            f"{op}_all": of_size(op, keepdims=0)
            for op in ("ReduceMax", "ReduceMean", "ReduceSumSquare", "ReduceLogSum")
        }
        | {f"{op}{axis}": of_x(op, axis=axis) for op in ("Softmax", "LogSoftmax", "Hardmax") for axis in (1, -1)}
        | names(
            mean_of_channels=of_x("ReduceMean", axes=[1]),
            mean_of_map=of_x("ReduceMean", axes=[-1, -2]),
            mean_of_map_dropped=of_x("ReduceMean", axes=[2, 3], keepdims=0),
            sum_dropped=with_ints("ReduceSum", (1, 2), keepdims=0),
            sum_of_map=with_ints("ReduceSum", (2, 3)),
            layer_norm=with_weights("LayerNormalization", (5,), (5,)),
            instance_norm=with_weights("InstanceNormalization", (6,), (6,)),
            local_response=of_x("LRN", size=3),
        )
    ),
    "windows": Family(
        names(
            max_pool=of_x("MaxPool", **PADDED),
            max_pool_dilated=of_x("MaxPool", kernel_shape=[3, 2], dilations=[1, 2], pads=[1, 1, 1, 0]),
            max_pool_up=of_x("MaxPool", **ROUNDED_UP),
            average=of_x("AveragePool", **PADDED),
            average_with_padding=of_x("AveragePool", **PADDED, count_include_pad=1),
            average_up=of_x("AveragePool", **ROUNDED_UP),
            average_up_with_padding=of_x("AveragePool", **ROUNDED_UP, pads=[1] * 4, count_include_pad=1),
            average_same=of_x("AveragePool", **WINDOW, auto_pad="SAME_UPPER", strides=[2, 2]),
            root_mean_square=of_x("LpPool", **WINDOW),
            global_average=of_x("GlobalAveragePool"),
            global_max=of_x("GlobalMaxPool"),
            conv_same_upper=with_weights("Conv", (4, 6, 3, 2), auto_pad="SAME_UPPER", strides=[2, 1]),
            conv_same_lower=with_weights("Conv", (4, 6, 3, 2), auto_pad="SAME_LOWER", strides=[2, 1]),
            conv_valid=with_weights("Conv", (4, 6, 3, 2), (4,), auto_pad="VALID"),
            conv_uneven_padding=with_weights("Conv", (4, 6, 3, 3), pads=[0, 1, 2, 0]),
            conv_grouped=with_weights("Conv", (9, 2, 3, 3), (9,), group=3, pads=[1] * 4, dilations=[2, 1]),
            conv_depthwise=with_weights("Conv", (6, 1, 3, 3), group=6, strides=[1, 2]),
            conv_of_given_weights=lambda net: net.add("Conv", "x", "w"),
            conv_transpose=with_weights("ConvTranspose", (6, 3, 2, 2), strides=[2, 2]),
            grid_sample=lambda net: net.add("GridSample", "x", net.constant(np.zeros((2, 3, 3, 2), np.float32))),
        )
        | {f"nearest_{p}_{n}": resize("nearest", p, n) for p in ("half_pixel", "asymmetric") for n in ("floor", "ceil")}
        | {f"linear_{p}": resize("linear", p) for p in ("half_pixel", "align_corners", "pytorch_half_pixel")},
        inputs=(MAP, ("w", TensorProto.FLOAT, (4, 6, 2, 2))),
    ),
    "matrices": Family(
        names(
            gemm=with_weights("Gemm", (3, 4), (3,), alpha=0.5, beta=2.0, transB=1),
            gemm_transposed=lambda net: net.add("Gemm", "x", drawn(2, 3)(net), transA=1),
            gemm_given=lambda net: net.add("Gemm", "x", "x", transB=1),
            gemm_bias_of_rows=with_weights("Gemm", (4, 3), (2, 3)),
            gemm_one_bias=with_weights("Gemm", (4, 3), (1,)),
            matmul=with_weights("MatMul", (4, 33)),
            matmul_batched=lambda net: net.add("MatMul", net.add("Unsqueeze", "x", net.ints(0)), drawn(5, 4, 3)(net)),
            matmul_of_integers=lambda net: net.add(
                "MatMul", net.add("Cast", "x", to=TensorProto.INT32), net.constant(np.ones((4, 3), np.int32))
            ),
            einsum=lambda net: net.add("Einsum", "x", "x", equation="ij,kj->ik"),
            triangle=of_x("Trilu"),
            relu=of_x("Relu"),
            add_vector=lambda net: net.add("Add", "x", drawn(4)(net)),
        ),
        inputs=(("x", TensorProto.FLOAT, (2, 4)),),
    ),
    "later opsets": Family(
        names(
            mean=with_ints("ReduceMean", (2, 3), keepdims=0),
            largest=with_ints("ReduceMax", (1,)),
            split=parts("Split", 3, axis=1, num_outputs=3),
            pad_axes=lambda net: net.add("Pad", "x", net.ints(1, 2), net.number(0.5), net.ints(3)),
            gelu=of_x("Gelu"),
            gelu_tanh=of_x("Gelu", approximate="tanh"),
            mish=of_x("Mish"),
            average_dilated=of_x("AveragePool", kernel_shape=[2, 2], dilations=[1, 2]),
            cast=of_x("Cast", to=TensorProto.INT64),
        ),
        opset=20,
    ),
    "earlier opsets": Family(
        names(
            softmax=of_x("Softmax", axis=1),
            sum=of_x("ReduceSum", axes=[1]),
            unsqueeze=of_x("Unsqueeze", axes=[1]),
            split=parts("Split", 2, axis=1, split=[2, 4]),
            clip=of_x("Clip", 0, 6),
            dropout=of_x("Dropout"),
            norm=lambda net: net.batch_norm("x", 6, "batch_norm"),
            upsample=lambda net: net.add(
                "Resize",
                "x",
                net.constant(np.zeros(0, np.float32)),
                net.constant(np.array([1, 1, 2, 2], np.float32)),
                mode="nearest",
            ),
        ),
        opset=11,
    ),
}
