"""Code generation: every kernel once, and two functions that call them in order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
from tvm import relax, tirx

from lascompile.codegen import KernelObjects, build_library, signature_of
from lascompile.errors import ToolchainError
from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lower import analyse, lower
from lascompile.lower.program import Buffer, Program, Role, Step
from lascompile.target import parse_target
from tests.masked_nets import masked_network


class Compiled(Exception):
    """Carries the module that would have been compiled."""


@pytest.fixture(scope="module")
def target():
    return parse_target("llvm", "native")


@pytest.fixture(scope="module")
def program(target, tmp_path_factory):
    """Two equal blocks: most kernels run twice."""
    path = tmp_path_factory.mktemp("codegen") / "m.onnx"
    onnx.save(masked_network(blocks=2, size=8), path)
    graph = simplify(load_model(path)).graph
    return lower(graph, analyse(graph), Scheduler(target, 1))


@pytest.fixture(scope="module")
def module(program, target, tmp_path_factory):
    """What is given to TVM's compiler, and what was told of kernels on the way."""
    told = []

    def stop(module, **_options):
        raise Compiled(module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tvm.compile", stop)
        with pytest.raises(Compiled) as caught:
            build_library(
                program,
                target,
                tmp_path_factory.mktemp("library") / "m.so",
                lambda *_args, **_options: None,
                lambda done, total: told.append((done, total)),
            )
    return caught.value.args[0], told


def calls(function):
    """The symbols that a function of the module calls, in order."""
    found = []

    def visit(node):
        if isinstance(node, relax.Call) and isinstance(node.op, relax.ExternFunc):
            found.append(str(node.op.global_symbol))

    relax.analysis.post_order_visit(function, visit)
    return found


def test_each_distinct_kernel_is_compiled_once(module, program):
    compiled, told = module
    symbols = [step.kernel.symbol for step in program.steps]
    assert max(Counter(symbols).values()) > 1
    kernels = [var.name_hint for var, func in compiled.functions.items() if isinstance(func, tirx.PrimFunc)]
    assert sorted(kernels) == sorted(set(symbols))
    assert told == [(done, len(kernels)) for done in range(1, len(kernels) + 1)]


def test_main_runs_all_steps_in_order(module, program):
    compiled, _ = module
    assert calls(compiled["main"]) == [step.kernel.symbol for step in program.steps]


def test_forced_runs_no_masker_step(module, program):
    compiled, _ = module
    kept = program.steps_after_decisions()
    assert calls(compiled["forced"]) == [step.kernel.symbol for step in kept]
    dropped = [step for step in program.steps if step not in kept]
    # Pooling, logits and comparison are the maskers' only; the lists made of the decisions are not.
    assert {step.kernel.label for step in dropped} >= {"average_pool4x4", "greater_equal"}
    decisions = {buffer.root for buffer in program.decisions.values()}
    assert all(buffer.root not in decisions for step in kept for buffer in step.outputs)
    assert any(buffer.root in decisions for step in kept for buffer in step.arguments)
    assert {step.part for step in kept} >= {"lists", "conv", "scatter"}


def test_the_parameters_are_those_of_the_signature(module, program):
    compiled, _ = module
    signature = signature_of(program)
    for name in ("main", "forced"):
        *tensors, constants, workspace = (param.ty for param in compiled[name].params)
        shown = [*signature.inputs, *signature.outputs]
        assert [tuple(map(int, tensor.shape)) for tensor in tensors] == [buffer.shape for buffer in shown]
        assert len(constants.fields) == len(signature.constants)
        assert len(workspace.fields) == len(signature.workspace)


def test_signature_sorts_buffers_by_their_roots_role():
    """A view says nothing of who provides its memory: its root does."""
    roles = (Role.INPUT, Role.OUTPUT, Role.CONSTANT, Role.WORKSPACE, Role.PINNED)
    buffers = {role: Buffer(role.value, (2, 3), role=role) for role in roles}
    views = {role: Buffer(role.value, (6,), role=Role.WORKSPACE, view_of=buffers[role]) for role in roles}

    class Kernel:
        label = symbol = "kernel"

        def function(self):
            raise NotImplementedError

    steps = [Step(Kernel(), (buffers[role], views[role], buffers[role]), (), "n") for role in reversed(roles)]
    signature = signature_of(Program([buffers[Role.INPUT]], [buffers[Role.OUTPUT]], steps))
    assert signature.inputs == (buffers[Role.INPUT], views[Role.INPUT])
    assert signature.outputs == (buffers[Role.OUTPUT], views[Role.OUTPUT])
    assert signature.constants == (buffers[Role.CONSTANT], views[Role.CONSTANT])
    assert set(signature.workspace) == {
        holder[role] for holder in (buffers, views) for role in (Role.WORKSPACE, Role.PINNED)
    }


class Executable:
    """One whose export fails."""

    def __init__(self, error):
        self.error = error

    def export_library(self, path, **_options):
        raise self.error


@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        (RuntimeError("no such symbol"), ToolchainError, "^linking m.so failed: no such symbol$"),
        (ToolchainError("c++ failed"), ToolchainError, "^c\\+\\+ failed$"),
        (OSError(28, "No space left on device"), OSError, "No space left on device"),
    ],
)
def test_what_a_failing_linker_raises(target, monkeypatch, tmp_path, error, becomes, says):
    monkeypatch.setattr("tvm.compile", lambda *_args, **_options: Executable(error))
    with pytest.raises(becomes, match=says):
        build_library(Program([], []), target, tmp_path / "m.so", lambda *_args, **_options: None)


def test_libraries_share_compiled_kernels(program, target, tmp_path):
    """The second one links what the first one has compiled, and schedules only what is new in it."""
    *first, last = program.steps
    part = Program(
        program.inputs, program.outputs, [step for step in first if step.kernel.symbol != last.kernel.symbol]
    )
    objects = KernelObjects(tmp_path)
    linked, scheduled = [], []
    for each in (part, program):
        build_library(
            each,
            target,
            tmp_path / "m.so",
            lambda _path, files, **_options: linked.append([Path(file).relative_to(tmp_path).parts for file in files]),
            lambda done, total: scheduled.append((done, total)),
            objects,
        )
    assert scheduled[-1] == (1, 1) != scheduled[0]
    assert linked == [
        [("objects0", "lib0.o"), ("objects0", "devc.o")],
        [("objects0", "lib0.o"), ("objects1", "lib0.o"), ("objects1", "devc.o")],
    ]
    assert set(objects.compiled) == {step.kernel.symbol for step in program.steps}
    # TVM makes no library of a module without any code.
    assert objects.of(objects.compiled) == {}
