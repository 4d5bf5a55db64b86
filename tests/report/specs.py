"""Manifests and profiles as artifacts of two blocks have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lascompile.manifest import Manifest, MaskSpec, StepSpec, TensorSpec
from lascompile.runtime.profile import Profile, StepTime


def mask_spec(name: str = "m0", granularity: int = 4, size: tuple[int, int] = (16, 16), block: str = "") -> MaskSpec:
    cells = (-(-size[0] // granularity), -(-size[1] // granularity))
    return MaskSpec(name, (1, 1, *cells), "bool", block, (granularity, granularity), size, 0, 0, False)


def block(name: str, mask: str | None, convolutions: Sequence[tuple[str, float]]) -> dict[str, Any]:
    return {
        "name": name,
        "mask": mask,
        "convolutions": [{"name": conv, "flops": flops} for conv, flops in convolutions],
    }


def manifest(
    blocks: Sequence[dict[str, Any]], masks: Sequence[MaskSpec] = (), images: int = 1, dense: float | None = None
) -> Manifest:
    return Manifest(
        versions={},
        onnx={},
        target={},
        threads=1,
        inputs=[TensorSpec("x", (images, 3, 16, 16), "float32")],
        outputs=[TensorSpec("logits", (images, 10), "float32")],
        masks=masks,
        blocks=blocks,
        flops={} if dense is None else {"dense": dense},
        dense_operators=(),
        input_views=(),
        output_views=(),
        constants=(),
        workspace=(),
        workspace_bytes=0,
        steps=(),
        library="model.so",
    )


def step(label: str, block: str, part: str, latency_s: float, node: str = "", rate: float | None = None) -> StepTime:
    return StepTime(StepSpec(label, node, block, part, forced=True), latency_s, rate)


# One masked block: its first convolution computes a halo, its second adds into the residual; then a head.
BLOCKS = [block("layer1.0", "m0", [("conv1", 400.0), ("conv2", 600.0), ("shortcut", 200.0)])]
MASKS = [mask_spec("m0", block="layer1.0")]
PROFILE = Profile(
    (
        step("average_pool4x4", "layer1.0", "masker", 0.001),
        step("compact_mask", "layer1.0", "lists", 0.002),
        step("masked_conv1x1", "layer1.0", "conv", 0.003, "conv1", 0.75),
        step("masked_conv1x1_scatter_add", "layer1.0", "scatter", 0.004, "conv2", 0.5),
        step("conv1x1", "layer1.0", "other", 0.005, "shortcut"),
        step("conv1x1", "", "other", 0.010, "head"),
    ),
    latency_s=0.040,
)
