"""What the author of a network called its parts, as far as the exporter wrote it down.

The dynamo exporter notes the module of every node in its metadata; weights keep the dotted names of parameters
unless something was folded into them; the TorchScript exporter spells the modules in the names of nodes, as in
`/layer1/layer1.0/conv1/Conv`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

import onnx_ir as ir

_SCOPES = "pkg.torch.onnx.name_scopes"


def module_of(node: ir.Node) -> str | None:
    """The dotted name of the module that `node` belongs to, as in `layer1.0.conv1`; None if nothing tells."""
    return _from_weight(node) or _from_scopes(node) or _from_path(node)


def common_module(modules: Iterable[str]) -> str:
    """The innermost module that contains all of `modules`; empty if that is the whole network.

    A single module is taken to be the first of several in the module around it.
    """
    parts = [module.split(".") for module in dict.fromkeys(modules)]
    if len(parts) < 2:
        return ".".join(parts[0][:-1]) if parts else ""
    common = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        common.append(column[0])
    return ".".join(common)


def _from_weight(node: ir.Node) -> str | None:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    name = "" if weight is None or weight.const_value is None else str(weight.name)
    module, _, parameter = name.rpartition(".")
    return module if parameter == "weight" and module and "/" not in module and ":" not in module else None


def _from_scopes(node: ir.Node) -> str | None:
    """The last scope is the operator, the one before it the module, by its whole name."""
    try:
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    except (ValueError, SyntaxError):
        return None
    return str(scopes[-2]) or None if isinstance(scopes, list) and len(scopes) > 1 else None


def _from_path(node: ir.Node) -> str | None:
    """`/layer1/layer1.0/conv1/Conv`: what a container holds repeats the container's name."""
    if not node.name or not node.name.startswith("/"):
        return None
    modules: list[str] = []
    for part in node.name.split("/")[1:-1]:
        if modules and part.startswith(f"{modules[-1]}."):
            modules.pop()
        modules.append(part)
    return ".".join(modules) or None
