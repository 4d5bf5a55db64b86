"""The static counterpart of a masked network: the same convolutions, every pixel computed.

Before: f → `Mul`(f, mask) → …; f, g → `Where`(mask, f, g) → …
After: f → …; the maskers are gone, since nothing reads them.

It is what a masked network has to beat: a mask that is multiplied in only adds work for other runtimes.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as ir_passes

from lascompile.analysis.gates import find_gates
from lascompile.errors import UnsupportedModelError
from lascompile.frontend.rewire import replace_readers
from lascompile.frontend.simplify import simplify

_PROTOBUF_LIMIT_BYTES = 2**31 - 1


def static_counterpart(model: ir.Model) -> ir.Model:
    """The network of `model` (canonical, see `simplify`) without its masks, as a new model.

    Weights are shared with `model`, which stays as it is.
    """
    static = model.clone()
    ungated: dict[ir.Value, ir.Value] = {}
    for gate in find_gates(static.graph):
        # What this gate lets through may itself be the output of a gate that is gone by now.
        source = ungated.get(gate.gated, gate.gated)
        (output,) = gate.site.outputs
        ungated[output] = source
        name, output.name = str(output.name), f"{output.name}.masked"
        replace_readers(static.graph, output, source, output_name=name)
    ir_passes.RemoveUnusedNodesPass()(static)
    # A batch norm that stood behind a mask stands behind its convolution now, and folds into it.
    return simplify(static)


def model_bytes(model: ir.Model) -> bytes:
    """The model as an ONNX file holds it, weights inside.

    Raises:
        UnsupportedModelError: It is larger than the 2 GiB that one protocol buffer can hold.
    """
    proto = ir.to_proto(model)
    size = proto.ByteSize()
    if size > _PROTOBUF_LIMIT_BYTES:
        raise UnsupportedModelError(
            f"the model takes {size / 2**30:.1f} GiB, but a reference model must fit the 2 GiB of one ONNX "
            "file; compare a smaller model of the same kind"
        )
    return proto.SerializeToString()
