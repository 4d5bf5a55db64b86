"""Report what this machine has and lacks: versions, CPU, linker, optional parts.

Ends with a trial: a small function is compiled, linked, loaded and run. Exit code 0 where that works, else 4.
Paste the output into a bug report.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lascompile import __version__, cpu, toolchain
from lascompile.cli.json_output import to_json
from lascompile.errors import ToolchainError

_MARKS = {"ok": "[green]ok[/]", "bad": "[bold red]bad[/]", "missing": "[yellow]missing[/]", "info": ""}
_TRIAL_TIMEOUT_S = 120


@dataclass(frozen=True)
class Check:
    """A line of the report."""

    section: str
    name: str
    found: str
    status: str = "info"
    """`ok`, `info`, `missing` (some command will not work) or `bad` (a build will not work)."""
    advice: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `lascompile doctor`."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the report; 0 where a build would work, else the exit code of a `ToolchainError`."""
    checks = list(examine())
    works = not any(check.status == "bad" for check in checks)
    if args.json:
        report = {"schema": 1, "version": __version__, "works": works, "checks": [asdict(c) for c in checks]}
        print(to_json(report, indent=2))
    else:
        _print_table(checks, works)
    return 0 if works else ToolchainError.exit_code


def examine() -> Iterator[Check]:
    """All checks, in the order of the report."""
    yield Check("system", "lascompile", __version__)
    yield Check("system", "python", f"{platform.python_version()} ({sys.executable})")
    yield Check("system", "system", f"{platform.platform()}")
    yield from _cpu()
    yield _gpu()
    yield from _required_packages()
    yield from _optional_parts()
    yield _linker()
    yield _trial()


def _cpu() -> Iterator[Check]:
    features = cpu.host_features()
    shown = [name for name in cpu.TELLING_FEATURES if features and name in features]
    yield Check("cpu", "model", f"{cpu.cpu_model()} ({platform.machine()})")
    yield Check("cpu", "features", " ".join(shown) if features is not None else "unknown (not Linux)")
    yield Check("cpu", "threads", f"{cpu.physical_cores()} by default, of {os.cpu_count()} logical CPUs")
    for variable in ("OMP_NUM_THREADS", "TVM_NUM_THREADS"):
        if variable in os.environ:
            yield Check("cpu", variable, os.environ[variable], advice="--threads decides, not this")


def _gpu() -> Check:
    names = _output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if names:
        return Check("gpu", "nvidia", "; ".join(names.splitlines()), "ok")
    return Check("gpu", "nvidia", "no driver", "info", "not needed: lascompile builds for CPUs")


def _required_packages() -> Iterator[Check]:
    for requirement in toolchain.REQUIREMENTS:
        fault, version = requirement.fault(), toolchain.installed(requirement.package)
        advice = f"{fault}: {requirement.remedy}" if fault else ""
        yield Check("packages", requirement.package, version or "", "bad" if fault else "ok", advice)
    for package in toolchain.PACKAGES:
        if package.extra is None:
            version = toolchain.installed(package.name)
            advice = "" if version else package.remedy
            yield Check("packages", package.name, version or "", "ok" if version else "bad", advice)


def _optional_parts() -> Iterator[Check]:
    for package in toolchain.PACKAGES:
        if package.extra is not None:
            version = toolchain.installed(package.name)
            advice = "" if version else f"for {package.purpose}: {package.remedy}"
            yield Check("optional", package.name, version or "", "ok" if version else "missing", advice)
    path = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    advice = "" if path else "for running aarch64 artifacts here: sudo apt install qemu-user"
    yield Check("optional", "qemu-aarch64", path or "", "ok" if path else "missing", advice)


def _linker() -> Check:
    linker = toolchain.find_linker(f"{cpu.processor()}-linux-gnu")
    if linker is None:
        return Check("build", "linker", "", "bad", "python -m pip install 'ziglang==0.17.*'")
    return Check("build", "linker", f"{linker.name}: {linker.version}", "ok")


def _trial() -> Check:
    """Compiles and runs a function in a process of its own: what is looked for may end the process."""
    command = [sys.executable, "-m", "lascompile.toolchain.trial"]
    # The child must import the lascompile that asks, installed or not.
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=_TRIAL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check("build", "trial", f"no end after {_TRIAL_TIMEOUT_S} s", "bad")
    if done.returncode == 0:
        return Check("build", "trial", f"compiled, linked, ran: {done.stdout.strip()}", "ok")
    if done.returncode < 0:
        return Check("build", "trial", f"crashed with signal {-done.returncode}", "bad", "see packages above")
    return Check("build", "trial", "failed", "bad", (done.stderr.strip().splitlines() or ["no message"])[-1])


def _output_of(*command: str) -> str:
    """What a program prints, or nothing where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _print_table(checks: list[Check], works: bool) -> None:
    from rich.table import Table

    from lascompile.cli.console import output_console

    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("section", "name", "status", "found"):
        table.add_column(column, no_wrap=column != "found", overflow="fold")
    section = ""
    for check in checks:
        new = check.section != section
        if new and section:
            table.add_row()
        section = check.section
        heading = f"[bold]{section}[/]" if new else ""
        found = " · ".join(filter(None, (check.found, f"[dim]{check.advice}[/]" if check.advice else "")))
        table.add_row(heading, check.name, _MARKS[check.status], found)
    console = output_console()
    console.print(table)
    console.print("\nA build works here." if works else "\nA build fails here: see what is marked bad.")
