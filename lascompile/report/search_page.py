"""What a search of granularities found, as one page that needs nothing else: plots inside, no script."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lascompile.files import write_whole
from lascompile.search.granularity import Design, StageCurve, pareto

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}"
    "img{max-width:100%}"
)


def write_page(
    path: Path,
    title: str,
    curves: Sequence[StageCurve],
    rates: Sequence[float],
    designs: Sequence[Design],
    rate: float,
) -> None:
    """Write the page `path`.

    Args:
        path: The file.
        title: Network and device.
        curves: Latency over `rates` for every stage and granularity.
        rates: Activation rates.
        designs: Every design at the activation rate `rate`, the fastest first.
        rate: The rate that was searched for.

    Raises:
        OSError: The file cannot be written.
    """
    front = pareto(designs)
    rows = "".join(
        f"<tr><td>{','.join(map(str, one.granularity))}</td><td>{1e3 * one.latency_s:.2f}</td>"
        f"<td>{1e-9 * one.flops:.2f}</td></tr>"
        for one in front
    )
    pictures = (
        ("Latency relative to the stage without masks, over S", _over_granularity(curves, rates)),
        ("The same over the activation rate", _over_rate(curves, rates)),
        (f"Operations against latency at r = {rate:g}: every design, and the front", _front(designs, front)),
    )
    drawn = "".join(
        f'<h2>{html.escape(heading)}</h2><img alt="{html.escape(heading)}" src="data:image/png;base64,{data}">'
        for heading, data in pictures
    )
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1><p>Predicted, not measured; {len(designs)} designs.</p>"
        f"{drawn}<h2>The front</h2><table><tr><th>granularity</th><th>ms</th><th>GFLOPs</th></tr>{rows}</table>"
        "</html>\n"
    )
    write_whole(path, page)


def _over_granularity(curves: Sequence[StageCurve], rates: Sequence[float]) -> str:
    def draw(axes: Any, own: Sequence[StageCurve]) -> None:
        for number, rate in enumerate(rates):
            values = [curve.latency_s[number] / curve.static_s for curve in own]
            axes.plot(range(len(own)), values, marker="o", label=f"r = {rate:g}")
        axes.set_xticks(range(len(own)), [str(curve.granularity) for curve in own])
        axes.set_xlabel("S")

    return _by_stage(curves, draw)


def _over_rate(curves: Sequence[StageCurve], rates: Sequence[float]) -> str:
    def draw(axes: Any, own: Sequence[StageCurve]) -> None:
        for curve in own:
            values = [latency / curve.static_s for latency in curve.latency_s]
            axes.plot(rates, values, marker="o", label=f"S = {curve.granularity}")
        axes.set_xlabel("activation rate r")

    return _by_stage(curves, draw)


def _by_stage(curves: Sequence[StageCurve], draw: Any) -> str:
    """A panel a stage, the legend beside the last one."""
    pyplot = _pyplot()
    stages = sorted({curve.stage for curve in curves})
    figure, panels = pyplot.subplots(
        1, len(stages), figsize=(3.6 * len(stages), 4.2), sharey=True, layout="constrained", squeeze=False
    )
    for axes, stage in zip(panels[0], stages, strict=True):
        draw(axes, [curve for curve in curves if curve.stage == stage])
        axes.axhline(1, color="grey", linewidth=1, linestyle="--")
        axes.set_title(f"layer{stage + 1}", fontsize=10)
        axes.grid(alpha=0.3)
        # Below the panel, where it hides no curve.
        axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3)
    panels[0][0].set_ylabel("latency / static latency")
    panels[0][0].set_ylim(0, None)
    return _encoded(figure)


def _front(designs: Sequence[Design], front: Sequence[Design]) -> str:
    figure, axes = _pyplot().subplots(figsize=(7, 4), layout="constrained")
    axes.scatter(
        [1e-9 * one.flops for one in designs], [1e3 * one.latency_s for one in designs], s=8, color="silver",
        label="designs",
    )  # fmt: skip
    axes.plot(
        [1e-9 * one.flops for one in front], [1e3 * one.latency_s for one in front], marker="o", color="C0",
        label="front",
    )  # fmt: skip
    axes.set(xlabel="GFLOPs of the blocks as executed, halo included", ylabel="predicted ms")
    axes.grid(alpha=0.3)
    axes.legend()
    return _encoded(figure)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _encoded(figure: Any) -> str:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    _pyplot().close(figure)
    return base64.b64encode(content.getvalue()).decode("ascii")
