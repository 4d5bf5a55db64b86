"""The options that spell a target, as TVM's users write them: `--target cuda -arch=8.7`, with no quotes."""

from __future__ import annotations

import argparse
import shlex
from typing import TypeAlias

_OPTIONS = ("arch", "mcpu", "mtriple", "mattr")
_Adder: TypeAlias = "argparse.ArgumentParser | argparse._ArgumentGroup"


def add_target_arguments(parser: _Adder) -> None:
    """`--target`, and what may follow it as words of their own."""
    parser.add_argument(
        "--target",
        default="llvm",
        help="llvm or cuda with options, as in --target cuda -arch=8.7, a TVM tag, or a JSON target (default: llvm)",
    )
    for option in _OPTIONS:
        parser.add_argument(f"-{option}", dest=f"target_{option}", help=argparse.SUPPRESS)


def target_text(args: argparse.Namespace) -> str:
    """The target as one text, for `lascompile.target.parse_target`."""
    options = {name: getattr(args, f"target_{name}") for name in _OPTIONS}
    return " ".join([args.target, *(shlex.quote(f"-{name}={value}") for name, value in options.items() if value)])
