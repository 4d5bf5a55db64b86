"""Draw `docs/images/demand.svg`: what the analysis finds out about one masked bottleneck.

Run it in the repository's root, as `python docs/draw_demand.py`. The pixels are those that the analysis computes for
the block below, under the decision `DECISION`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnx_ir as ir
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle

from lascompile.analysis.demand import find_demands
from lascompile.analysis.fill import find_fills
from lascompile.analysis.gates import find_gates
from lascompile.analysis.rules import RULES
from lascompile.frontend.simplify import simplify

BLOCK = """
<ir_version: 8, opset_import: ["" : 18]>
block (float[1, 4, 12, 12] x)  => (float[1, 4, 12, 12] y)
<float[4, 4, 1, 1] w1, float[4, 4, 3, 3] w2, float[4, 4, 1, 1] w3, float[1, 4, 1, 1] wm, float zero,
 int64[4] size = {1, 1, 12, 12}>
{
    residual = Relu(x)
    a = Conv(residual, w1)
    b = Conv<pads = [1, 1, 1, 1]>(a, w2)
    c = Conv(b, w3)
    pooled = AveragePool<kernel_shape = [4, 4], strides = [4, 4]>(residual)
    logits = Conv(pooled, wm)
    decision = Greater(logits, zero)
    number = Cast<to = 1>(decision)
    mask = Resize<mode = "nearest">(number, , , size)
    masked = Mul(c, mask)
    sum = Add(residual, masked)
    y = Neg(sum)
}
"""
DECISION = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0]], bool)

COMPUTED, HALO, SPARED, ZERO, RESIDUAL, INK = "#e07b39", "#f6c89f", "#e9e9e9", "#ffffff", "#a9c8e8", "#333333"
MAP = 2.0
"""Width of a drawn map; the origin of each is its lower left corner."""
TOP, BOTTOM = 3.2, 0.0
PLACES = {"x": (0.0, TOP), "a": (3.2, TOP), "b": (6.4, TOP), "c": (9.6, TOP), "masked": (12.8, TOP), "sum": (16.0, TOP)}


def main(path: Path) -> None:
    """Draw the block and write the picture."""
    matplotlib.rcParams.update({"svg.hashsalt": "lascompile", "font.family": "DejaVu Sans", "font.size": 11})
    figure, axes = plt.subplots(figsize=(13.2, 4.9))
    _draw(axes)
    axes.set(xlim=(-0.3, 18.3), ylim=(-0.9, 6.2), aspect="equal")
    axes.axis("off")
    figure.savefig(path, bbox_inches="tight", facecolor="white", metadata={"Date": None}, dpi=100)


def _draw(axes: Axes) -> None:
    needed, off = _facts()
    nowhere = np.zeros_like(off)
    _map(axes, PLACES["x"], _paint(~nowhere, ~nowhere, RESIDUAL), "demand of x:\neverywhere")
    for name, label in (("a", "mask dilated by 1"), ("b", "mask"), ("c", "mask")):
        _map(axes, PLACES[name], _paint(needed[name], needed["c"], SPARED), f"demand:\n{label}")
    _map(axes, PLACES["masked"], _paint(~off, ~off, ZERO), "fill:\nzero")
    _map(axes, PLACES["sum"], _paint(~off, ~off, RESIDUAL), "fill:\nthe residual, x")
    names = list(PLACES)
    for before, after, operator in zip(names, names[1:], ("1×1", "3×3", "1×1", "×", "+ x"), strict=False):
        _arrow(axes, _right(before), _left(after), operator)
    _masker(axes)
    _directions(axes)


def _facts() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The pixels of a, b and c that are needed, and those of the masked map that its fill describes."""
    graph = simplify(ir.from_proto(_with_weights(onnx.parser.parse_model(BLOCK)))).graph
    gates = find_gates(graph)
    demands, fills = find_demands(graph, gates, RULES), find_fills(graph, gates)
    values = {value.name: value for node in graph for value in node.outputs}
    needed = {}
    for name in ("a", "b", "c"):
        (footprint,) = demands[values[name]].footprints
        needed[name] = footprint.pixels(DECISION)[0]
    gate = fills[values["masked"]].gate
    base = fills[values["sum"]].base
    assert base is not None and base.name == "residual"
    return needed, ~gate.mask.active(DECISION)[0]


def _with_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fill in the initialisers that the text only declares."""
    rng = np.random.default_rng(0)
    given = {tensor.name for tensor in model.graph.initializer}
    for info in model.graph.value_info:
        if info.name not in given and info.name[0] in "wz":
            dims = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
            tensor = onnx.numpy_helper.from_array(rng.standard_normal(dims).astype(np.float32), info.name)
            model.graph.initializer.append(tensor)
    return model


def _paint(shown: np.ndarray, active: np.ndarray, otherwise: str) -> np.ndarray:
    """A colour for each pixel: computed and active, computed for the sake of others, or something else."""
    return np.where(shown, np.where(active, COMPUTED, HALO), otherwise)


def _map(axes: Axes, place: tuple[float, float], colours: np.ndarray, label: str) -> None:
    left, bottom = place
    side = MAP / len(colours)
    for row, line in enumerate(colours):
        starts = [0, *(np.flatnonzero(line[1:] != line[:-1]) + 1), len(line)]
        for first, end in zip(starts, starts[1:], strict=False):
            corner = (left + first * side, bottom + MAP - (row + 1) * side)
            axes.add_patch(Rectangle(corner, (end - first) * side, side, color=line[first], linewidth=0))
    steps = np.arange(1, len(colours)) * side
    axes.hlines(bottom + steps, left, left + MAP, color="white", linewidth=0.6)
    axes.vlines(left + steps, bottom, bottom + MAP, color="white", linewidth=0.6)
    axes.add_patch(Rectangle(place, MAP, MAP, fill=False, edgecolor=INK, linewidth=1.2, zorder=3))
    axes.text(left + MAP / 2, bottom - 0.15, label, ha="center", va="top", color=INK)


def _masker(axes: Axes) -> None:
    """The way from x through the decision to the product, and around everything to the sum."""
    place = (PLACES["b"][0], BOTTOM - 0.6)
    _map(axes, place, np.where(DECISION, COMPUTED, SPARED), "")
    axes.text(place[0] + MAP + 0.2, place[1] + 0.15, "decision:\none bit a patch", ha="left", va="bottom", color=INK)
    middle = place[1] + MAP / 2
    _bend(axes, [(1.0, TOP - 1.1), (1.0, middle), (place[0], middle)])
    axes.text(3.7, middle + 0.12, "pool, 1×1, compare", ha="center", va="bottom", color=INK)
    join = (PLACES["masked"][0] - 0.6, TOP + MAP / 2 - 0.1)
    _bend(axes, [(place[0] + MAP, middle), (join[0], middle), join])
    axes.text(join[0] - 0.2, middle + 0.12, "upsample: mask", ha="right", va="bottom", color=INK)


def _directions(axes: Axes) -> None:
    """Which way each fact goes."""
    height = TOP + MAP + 0.5
    _bend(axes, [(12.2, height), (3.2, height)], COMPUTED)
    axes.text(
        7.7, height + 0.12, "demand goes backwards: where is it needed?", ha="center", va="bottom", color=COMPUTED
    )
    _bend(axes, [(12.8, height), (18.0, height)], "#4a7fb5")
    axes.text(
        15.4, height + 0.12, "fill goes forwards: what is it elsewhere?", ha="center", va="bottom", color="#4a7fb5"
    )
    entries = {
        "computed, mask on": COMPUTED,
        "computed for its neighbours": HALO,
        "not computed": SPARED,
        "zero, by the mask": ZERO,
        "as in x, not written": RESIDUAL,
    }
    handles = [Patch(facecolor=colour, edgecolor=INK, linewidth=0.8, label=text) for text, colour in entries.items()]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, -0.02), frameon=False, ncols=1)


def _right(name: str) -> tuple[float, float]:
    return PLACES[name][0] + MAP, PLACES[name][1] + MAP / 2


def _left(name: str) -> tuple[float, float]:
    return PLACES[name][0], PLACES[name][1] + MAP / 2


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str) -> None:
    _bend(axes, [start, end])
    axes.text((start[0] + end[0]) / 2, start[1] + 0.12, label, ha="center", va="bottom", color=INK)


def _bend(axes: Axes, points: list[tuple[float, float]], colour: str = INK) -> None:
    """A line through all points, with an arrow head at the last."""
    xs, ys = zip(*points[:-1], strict=True)
    axes.plot(xs, ys, color=colour, linewidth=1.4, solid_capstyle="round")
    axes.add_patch(
        FancyArrowPatch(
            points[-2],
            points[-1],
            arrowstyle="-|>",
            mutation_scale=14,
            shrinkA=0,
            shrinkB=0,
            color=colour,
            linewidth=1.4,
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "images" / "demand.svg")
