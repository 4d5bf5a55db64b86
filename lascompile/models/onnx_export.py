"""Write a model as one ONNX file, with either of PyTorch's exporters."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from lascompile.errors import UnsupportedModelError, UsageError
from lascompile.files import check_file_place, write_whole
from lascompile.models.masker import SpatialMasker

Exporter = Literal["dynamo", "torchscript"]

EXPORTERS: dict[Exporter, int] = {"dynamo": 18, "torchscript": 17}
"""Exporters by name, each with the ONNX opset that it is used with."""

INPUT, OUTPUT = "images", "logits"
"""Names of the graph's input and output."""

_LIMIT_BYTES = 2**31 - 2**20
"""A protocol buffer holds 2 GiB; a mebibyte is left for the graph itself."""


def export(
    model: nn.Module,
    path: str | Path,
    input_size: int | tuple[int, int] = 224,
    batch: int = 1,
    exporter: Exporter = "dynamo",
    opset: int | None = None,
) -> Path:
    """Write a model of one image input as an ONNX file of static shape with its weights inside.

    The file appears under its name only when it is complete. Batch norms are folded as the exporter does it.

    Args:
        model: put into eval mode, and left in it.
        path: the file to write; its folder exists.
        input_size: height and width of the images in pixels, or one number for both.
        batch: images a call.
        exporter: a key of `EXPORTERS`.
        opset: version of the ONNX operators; None: the exporter's in `EXPORTERS`.

    Raises:
        UsageError: a wrong argument, or no such folder.
        UnsupportedModelError: a model that this exporter cannot express, or of 2 GiB and more.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if exporter not in EXPORTERS:
        raise UsageError(f"unknown exporter {exporter!r}: there are {', '.join(EXPORTERS)}")
    if batch < 1:
        raise UsageError(f"batch {batch}: must be at least 1")
    check_file_place("output", path)
    if exporter == "torchscript":
        _check_pooling(model)
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if size > _LIMIT_BYTES:
        raise UnsupportedModelError(f"the weights are {size} bytes: one ONNX file holds {_LIMIT_BYTES}")
    height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
    images = torch.zeros(batch, 3, height, width)
    model.eval()
    try:
        with _silence(), torch.no_grad():
            content = _SERIALIZE[exporter](model, images, opset or EXPORTERS[exporter])
    except torch.onnx.errors.OnnxExporterError as error:
        other = "torchscript" if exporter == "dynamo" else "dynamo"
        reason = str(error).strip().splitlines()[0].partition(". ")[0]
        raise UnsupportedModelError(
            f"the {exporter} exporter cannot express this model ({reason}): try the {other} exporter"
        ) from error
    write_whole(path, content)
    return path


def _check_pooling(model: nn.Module) -> None:
    """Refuse what the TorchScript exporter would refuse, after printing its graph on the terminal."""
    for name, masker in model.named_modules():
        if isinstance(masker, SpatialMasker) and not masker.pools_evenly:
            raise UsageError(
                f"the torchscript exporter cannot express pooling over uneven windows, as in {name} "
                f"(granularity {masker.granularity}): use the dynamo exporter"
            )


def _with_dynamo(model: nn.Module, images: Tensor, opset: int) -> bytes:
    """Capture by torch.export; this exporter decomposes adaptive pooling over uneven windows."""
    program = torch.onnx.export(
        model,
        (images,),
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=opset,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    for node in program.model.graph.all_nodes():
        # Paths of this machine: they help nobody, and make the same model another file elsewhere.
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)
    return program.model_proto.SerializeToString()


def _with_torchscript(model: nn.Module, images: Tensor, opset: int) -> bytes:
    """Capture by tracing; cannot express adaptive pooling over uneven windows."""
    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        (images,),
        buffer,  # type: ignore[arg-type]  # accepted, though not in its annotation
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=opset,
        dynamo=False,
    )
    return buffer.getvalue()


_SERIALIZE = {"dynamo": _with_dynamo, "torchscript": _with_torchscript}


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporters' deprecations and progress, which a user can do nothing about, off the terminal."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
