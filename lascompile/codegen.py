"""A program becomes a library: every kernel once, and the functions that call them in order.

The library is an executable of TVM's Relax virtual machine, which serves as sequencer only: no memory is allotted and
no shape is computed while it runs. It has two functions, `main` and `forced` (which takes the mask decisions as given),
with the parameters inputs…, outputs…, constants, workspace; the last two are tuples of tensors.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tvm
from tvm import relax

from lascompile.errors import ToolchainError
from lascompile.files import check_room
from lascompile.lower.program import Buffer, Kernel, Program, Role, Step
from lascompile.schedules.backends import backend_of
from lascompile.target import Target

_ROOM_BYTES = 16 * 2**20
"""More than the machine code of any network so far, or a library of it."""


@dataclass(frozen=True)
class Signature:
    """Which tensors a library's functions take, in order.

    Attributes:
        inputs: The program's inputs, each under every shape that a kernel reads it in.
        outputs: The same for its outputs.
        constants: What is known at build time.
        workspace: Views into one block of memory.
    """

    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    constants: tuple[Buffer, ...]
    workspace: tuple[Buffer, ...]


@dataclass
class KernelObjects:
    """Machine code of kernels, for libraries that share them: most of a build is spent on it.

    Attributes:
        folder: Where the object files lie.
        compiled: Object file of each kernel, by its symbol.
    """

    folder: Path
    compiled: dict[str, Path] = field(default_factory=dict)

    def add(self, symbols: Collection[str]) -> Path:
        """A new folder, into whose `lib0.o` TVM writes the kernels `symbols`."""
        folder = self.folder / f"objects{len(set(self.compiled.values()))}"
        folder.mkdir()
        self.compiled |= dict.fromkeys(symbols, folder / "lib0.o")
        return folder

    def of(self, symbols: Collection[str]) -> dict[str, Path]:
        """Those of the kernels `symbols` that need not be compiled again.

        None if there are all of them: TVM can only make a library of a module with some machine code of its own.
        """
        known = {symbol: self.compiled[symbol] for symbol in symbols if symbol in self.compiled}
        return known if len(known) < len(symbols) else {}


def signature_of(program: Program) -> Signature:
    """The tensors that the functions of `program` take."""
    buffers = program.buffers()

    def having(*roles: Role) -> tuple[Buffer, ...]:
        return tuple(buffer for buffer in buffers if buffer.root.role in roles)

    return Signature(
        having(Role.INPUT), having(Role.OUTPUT), having(Role.CONSTANT), having(Role.WORKSPACE, Role.PINNED)
    )


def build_library(
    program: Program,
    target: Target,
    path: Path,
    link: Callable[..., None],
    on_kernel: Callable[[int, int], None] = lambda done, total: None,
    objects: KernelObjects | None = None,
) -> Signature:
    """Compile `program` for `target` and write the shared library `path`.

    Args:
        program: Its kernels are compiled once each, however often they run.
        target: What machine code is made for.
        path: The library to write.
        link: Turns object files into a shared library, as TVM's `export_library` calls it.
        on_kernel: Told how many kernels are scheduled, and of how many.
        objects: Kernels that are linked in where they are compiled already, and joined by those that are not.

    Raises:
        ToolchainError: Linking failed.
    """
    signature = signature_of(program)
    kernels = {step.kernel.symbol: step.kernel for step in program.steps}
    known = objects.of(kernels) if objects is not None else {}
    new = {symbol: kernel for symbol, kernel in kernels.items() if symbol not in known}
    builder = relax.BlockBuilder()
    _add_kernels(builder, new, on_kernel)
    _add_function(builder, "main", program.steps, signature)
    _add_function(builder, "forced", program.steps_after_decisions(), signature)
    lowering = backend_of(target.kind).pipeline()
    executable = tvm.compile(
        builder.get(), target=target.to_tvm(), relax_pipeline=_pipeline(), tir_pipeline=lowering
    )
    linked = [str(file) for file in dict.fromkeys(known.values())]
    with tempfile.TemporaryDirectory(prefix="lascompile-") as own:
        folder = objects.add(new) if objects is not None else Path(own)
        for written in (folder, path.parent):
            # LLVM and linkers end the process, or say little, where they cannot write.
            check_room(written, _ROOM_BYTES)
        try:
            executable.export_library(str(path), fcompile=link, addons=linked, workspace_dir=str(folder))
        except RuntimeError as error:
            raise ToolchainError(f"linking {path.name} failed: {error}") from error
    return signature


def _pipeline() -> tvm.ir.transform.Pass:
    """What is left to do for a module that has neither dataflow nor memory to plan."""
    return tvm.ir.transform.Sequential(
        [
            relax.transform.LowerRuntimeBuiltin(),
            relax.transform.VMShapeLower(),
            relax.transform.AttachGlobalSymbol(),
        ]
    )


def _add_kernels(
    builder: relax.BlockBuilder, kernels: Mapping[str, Kernel], on_kernel: Callable[[int, int], None]
) -> None:
    for done, (symbol, kernel) in enumerate(kernels.items(), start=1):
        builder.add_func(kernel.function().with_attr("global_symbol", symbol), symbol)
        on_kernel(done, len(kernels))


def _add_function(builder: relax.BlockBuilder, name: str, steps: Sequence[Step], signature: Signature) -> None:
    named = [*signature.inputs, *signature.outputs]
    params = [relax.Var(f"tensor{position}", _type(buffer)) for position, buffer in enumerate(named)]
    tuples = [
        relax.Var(kind, relax.TupleType([_type(buffer) for buffer in buffers]))
        for kind, buffers in (("constants", signature.constants), ("workspace", signature.workspace))
    ]
    known: dict[Buffer, relax.Expr] = dict(zip(named, params, strict=True))
    with builder.function(name, [*params, *tuples], pure=False):
        used = dict.fromkeys(buffer for step in steps for buffer in step.arguments)
        for param, buffers in zip(tuples, (signature.constants, signature.workspace), strict=True):
            for position, buffer in enumerate(buffers):
                if buffer in used:
                    known[buffer] = builder.emit(relax.TupleGetItem(param, position))
        for step in steps:
            arguments = [known[buffer] for buffer in step.arguments]
            builder.emit(
                relax.Call(relax.ExternFunc(step.kernel.symbol), arguments, ty_args=[relax.TupleType([])])
            )
        builder.emit_func_output(relax.Tuple([]))


def _type(buffer: Buffer) -> relax.TensorType:
    return relax.TensorType(buffer.shape, buffer.dtype)
