"""`lascompile COMMAND ...`: reads the arguments, calls one command, turns a failure into one line and a code.

Exit codes: 0, those of `lascompile.errors`, 2 for arguments that cannot be read, 130 after Ctrl-C, 141 when
the reader of the output has gone.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import inspect
import io
import logging
import os
import platform
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lascompile import __version__, toolchain
from lascompile.cli import COMMANDS, Command
from lascompile.errors import LascompileError, UsageError

_INTERRUPTED = 130
_READER_GONE = 141
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "no file may become so large; raise the limit (ulimit -f)",
}
"""What OSErrors mean, where the system's words say little."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: `sys.argv`) and returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    _prepare_streams()
    try:
        try:
            return _dispatch(arguments)
        finally:
            _flush()
    except Exception as error:
        if "--traceback" in arguments:
            traceback.print_exc()
        return _report(error)
    except KeyboardInterrupt:
        return _fail("interrupted", _INTERRUPTED)


def _prepare_streams() -> None:
    """Let no character and no closed stream end a command whose work is done."""
    if sys.stdout is None:  # closed by the caller, who wants no output
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows ASCII alone, a name that is no text


def _flush() -> None:
    """Writes the output out now: a reader that has gone or a full disk decides the exit code too."""
    try:
        sys.stdout.flush()
    except OSError:
        # What is still buffered goes nowhere: the flush at exit must not fail again.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose sub-command is imported when it is the one asked for.

    Those of commands and of their actions are such parsers too, so that the global options may stand anywhere.
    """

    def __init__(self, command: Command | None = None, **kwargs: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)
        self._command = command
        _add_global_arguments(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._command is not None:
            command, self._command = self._command, None
            module = importlib.import_module(command.module)
            self.description = inspect.getdoc(module)
            module.add_arguments(self)
            self.set_defaults(run=module.run)
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:  # here, and not in the parser around, whose help says nothing of these options
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(_versions())
        parser.exit()


def _dispatch(arguments: list[str]) -> int:
    args = _parser().parse_args(arguments)
    verbose: int = args.verbose
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="%(name)s: %(message)s", stream=sys.stderr)
    if COMMANDS[args.command].checks_versions:
        toolchain.check_versions()
    code: int = args.run(args)
    return code


def _parser() -> argparse.ArgumentParser:
    about = "Compile networks that skip work into libraries that skip it."
    parser = _Parser(prog="lascompile", description=about)
    parser.add_argument("--version", action=_Version, nargs=0, help="print versions, and exit")
    parser.set_defaults(verbose=0, traceback=False)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS.values():
        commands.add_parser(command.name, help=command.help, command=command)
    return parser


def _add_global_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that may stand before the command, after it, or after its action."""
    # SUPPRESS: an inner parser must not reset what was read before it.
    parser.add_argument(
        "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="say what is done; -vv says more"
    )
    parser.add_argument(
        "--traceback", action="store_true", default=argparse.SUPPRESS, help="show the stack of an error"
    )


def _versions() -> str:
    shown = (requirement.package for requirement in toolchain.REQUIREMENTS)
    packages = ", ".join(f"{name} {toolchain.installed(name) or 'missing'}" for name in shown)
    return f"lascompile {__version__} ({packages}, Python {platform.python_version()})"


def _report(error: Exception) -> int:
    """Says what went wrong in one line and returns the exit code."""
    if isinstance(error, LascompileError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, BrokenPipeError):
        return _READER_GONE
    if isinstance(error, ModuleNotFoundError) and (missing := toolchain.missing_package(error.name)):
        return _fail(str(missing), missing.exit_code)
    if isinstance(error, OSError) and error.errno is not None:
        return _fail(_describe(error), LascompileError.exit_code)
    if isinstance(error, MemoryError):
        return _fail("out of memory", LascompileError.exit_code)
    return _fail(
        f"this is a bug in lascompile: {type(error).__name__}: {error} (--traceback shows where; "
        "please report it with the output of `lascompile doctor`)",
        LascompileError.exit_code,
    )


def _describe(error: OSError) -> str:
    code = error.errno or 0
    reason = _REASONS.get(code, os.strerror(code).lower())
    return f"{error.filename}: {reason}" if error.filename else reason


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"lascompile: error: {line}", file=sys.stderr)
    return code
