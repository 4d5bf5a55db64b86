"""Transfer functions of demand, one file a family of operators; `RULES` lists them by ONNX operator."""

from __future__ import annotations

from lascompile.analysis.demand import TransferFunction
from lascompile.analysis.rules import convolution, elementwise

RULES: dict[str, TransferFunction] = {
    "Conv": convolution.demand_on_inputs,
    **dict.fromkeys(elementwise.OPERATORS, elementwise.demand_on_inputs),
}
