"""LASNets as both exporters of PyTorch write them, batch norms folded or not."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lascompile.analysis.blocks import Block, find_blocks
from lascompile.models import create_model, export
from tests.analysis.soundness import Analysis, analyse, check_demands, check_fills


@pytest.fixture(autouse=True)
def without_remarks() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(disabled)


def exported(
    exporter: str, path: Path, batch: int = 1, opset: int | None = None, **settings: object
) -> onnx.ModelProto:
    model = create_model("lasnet_resnet_tiny", **settings)  # type: ignore[arg-type]
    balance(model)
    export(model, path, model.config.input_size, batch, exporter, opset)  # type: ignore[arg-type]
    return onnx.load(path)


def balance(model: torch.nn.Module) -> None:
    """Set the maskers' biases so that some patches are on and some off."""
    with torch.no_grad():
        for _, masker in model.maskers():  # type: ignore[operator]
            masker.conv2.bias.zero_()


def unfolded(path: Path) -> onnx.ModelProto:
    """As TorchScript's exporter writes batch norms when it is told to leave the mode as it is."""
    model = create_model("lasnet_resnet_tiny", input_size=64)
    balance(model)
    content = io.BytesIO()
    torch.onnx.export(
        model.eval(),
        (torch.zeros(1, 3, 64, 64),),
        content,  # type: ignore[arg-type]
        dynamo=False,
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    path.write_bytes(content.getvalue())
    proto = onnx.load(path)
    assert any(node.op_type == "BatchNormalization" for node in proto.graph.node)
    return proto


Maker = Callable[[Path], onnx.ModelProto]
EXPORTS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    "torchscript": (lambda path: exported("torchscript", path, input_size=64), (4, 4, 2, 1)),
    "torchscript, unfolded": (unfolded, (4, 4, 2, 1)),
    "torchscript, groups, batch 2": (
        lambda path: exported("torchscript", path, 2, input_size=64, mask_channel_group=2),
        (4, 4, 2, 1),
    ),
    "torchscript, opset 11": (lambda path: exported("torchscript", path, opset=11, input_size=64), (4, 4, 2, 1)),
    "torchscript, opset 12": (  # whose GreaterOrEqual is a function: its shape is inferred a block at a time
        lambda path: exported("torchscript", path, opset=12, input_size=64, mask_channel_group=2),
        (4, 4, 2, 1),
    ),
    "dynamo, not square": (lambda path: exported("dynamo", path, input_size=(64, 96)), (4, 4, 2, 1)),
    "dynamo, uneven, groups": (
        lambda path: exported("dynamo", path, input_size=(72, 72), granularity=(4, 2, 2, 3), mask_channel_group=2),
        (5, 3, 3, 3),  # the largest patches of maps of 18, 9, 5 and 3 pixels with 4, 4, 2 and 1 of them
    ),
}


def describe(analysis: Analysis) -> list[Block]:
    return find_blocks(analysis.graph, analysis.gates, analysis.demands, analysis.fills)


@pytest.mark.parametrize("name", EXPORTS)
def test_every_block_is_dynamic(name: str, tmp_path: Path) -> None:
    make, granularity = EXPORTS[name]
    proto = make(tmp_path / "model.onnx")
    analysis = analyse(proto)
    blocks = describe(analysis)
    assert [block.name for block in blocks] == [f"layer{stage}.{i}" for stage in range(1, 5) for i in range(2)]
    for stage, block in zip(np.repeat(range(4), 2), blocks, strict=True):
        demands = [c.demand for c in block.convolutions if c.part == "branch"]
        assert (block.kind, block.dynamic, block.reason) == ("bottleneck", True, None)
        assert demands == ["mask dilated by 1", "mask", "mask"]
        assert block.granularity == granularity[stage]
    shape = [dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    inputs = {proto.graph.input[0].name: np.random.default_rng(0).standard_normal(shape, np.float32)}
    check_demands(analysis, inputs)
    check_fills(analysis, inputs)


def test_a_static_network_says_that_it_has_no_mask(tmp_path: Path) -> None:
    blocks = describe(analyse(exported("torchscript", tmp_path / "m.onnx", input_size=64, static=True)))
    assert len(blocks) == 8
    assert {block.reason for block in blocks} == {"no mask multiplies this branch"}
    assert not any(block.dynamic for block in blocks)
