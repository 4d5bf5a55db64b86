"""The command line: one module a command, imported only when that command is asked for.

A command's module has `add_arguments(parser: argparse.ArgumentParser) -> None` and
`run(args: argparse.Namespace) -> int`; its docstring is the text above the options in `--help`.
Adding a command = one module + one row here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A row of `COMMANDS`."""

    name: str
    help: str
    """One line, shown by `lascompile --help`."""
    module: str
    checks_versions: bool = True
    """Refuse to start with packages known to break each other; off for the command that reports them."""


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("export", "write a LASNet of the zoo as an ONNX model", "lascompile.cli.export"),
        Command("inspect", "say what a model skips, and what stays dense and why", "lascompile.cli.inspect"),
        Command("build", "compile an ONNX model into an artifact", "lascompile.cli.build"),
        Command("verify", "compare an artifact with onnxruntime", "lascompile.cli.verify"),
        Command("run", "run an artifact on an input; profile it, draw its masks", "lascompile.cli.run"),
        Command("bench", "time an artifact against other runtimes", "lascompile.cli.bench"),
        Command("tune", "find the fastest schedules for a device", "lascompile.cli.tune"),
        Command("measure", "measure kernels for the latency table", "lascompile.cli.measure"),
        Command("records", "list, merge and prune the records of tuning", "lascompile.cli.records"),
        Command("table", "show, merge and plot the latency table", "lascompile.cli.table"),
        Command("predict", "say what a network will cost on a device", "lascompile.cli.predict"),
        Command("search", "find the granularities with the lowest predicted latency", "lascompile.cli.search"),
        Command("predictor", "fit and evaluate the latency predictor of a CPU", "lascompile.cli.predictor"),
        Command("device", "list the devices that predictions know", "lascompile.cli.device"),
        Command("doctor", "report versions, CPU, linker and optional parts", "lascompile.cli.doctor", False),
    )
}
