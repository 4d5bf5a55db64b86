from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from lascompile import errors, toolchain
from lascompile.cli import COMMANDS, Command
from lascompile.cli.main import main

PYTHON = (sys.executable, "-m", "lascompile")


@pytest.fixture
def command(monkeypatch):
    """A command `try` that raises or returns what it is given, and a way to run it."""

    def run_with(outcome, *argv):
        module = types.ModuleType("lascompile_try", "Try something.")

        def run(args):
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome(args) if callable(outcome) else outcome

        module.run = run
        module.add_arguments = lambda parser: parser.add_argument("--number", type=int)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, "try", Command("try", "try something", module.__name__))
        return main(["try", *argv])

    return run_with


def run(*argv, **kwargs):
    return subprocess.run([*PYTHON, *argv], capture_output=True, text=True, check=False, **kwargs)


def test_commands_are_rows_of_the_help():
    done = run("--help")
    assert done.returncode == 0
    assert all(f"{name} " in done.stdout and row.help in done.stdout for name, row in COMMANDS.items())
    assert set(COMMANDS) >= {"export", "inspect", "build", "verify", "run", "bench", "doctor"}


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["doctor", "--help"]])
def test_help_and_version_import_nothing_heavy(argv):
    script = (
        "import sys\nfrom lascompile.cli.main import main\n"
        f"try: main({argv})\n"
        "except SystemExit as exit: assert exit.code == 0\n"
        "print([name for name in ('tvm', 'tvm_ffi', 'torch', 'onnx', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_names_what_matters():
    done = run("--version")
    assert done.stdout.startswith("lascompile ")
    assert f"apache-tvm {toolchain.installed('apache-tvm')}" in done.stdout
    assert "Python 3." in done.stdout


def test_a_row_without_its_module_does_not_break_the_help(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "later", Command("later", "not written yet", "lascompile.cli.later"))
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    assert "not written yet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["bulid"], "invalid choice: 'bulid'"),
        (["doctor", "--color"], "unrecognized arguments: --color"),
    ],
)
def test_usage_errors_are_one_line_and_exit_with_2(argv, says, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lascompile: error: ") and err.count("\n") == 1
    assert says in err and "--help" in err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--number", "seven"], "argument --number: invalid int value: 'seven'"),
        (["--color", "more"], "unrecognized arguments: --color more"),
    ],
)
def test_a_wrong_option_of_a_command_points_to_its_own_help(argv, says, command, capsys):
    assert command(0, *argv) == 2
    assert capsys.readouterr().err == f"lascompile: error: {says} (see lascompile try --help)\n"


def test_a_wrong_option_before_the_command_points_to_the_help_of_all(command, capsys):
    command(0)
    assert main(["--color", "try"]) == 2
    assert "--color (see lascompile --help)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LascompileError, 1),
        (errors.UsageError, 2),
        (errors.UnsupportedModelError, 3),
        (errors.ToolchainError, 4),
        (errors.DeviceError, 5),
        (errors.ArtifactError, 6),
    ],
)
def test_errors_are_one_line_with_their_exit_code(error, code, command, capsys):
    assert command(error("what,\n  got, allowed")) == code
    assert capsys.readouterr().err == "lascompile: error: what, got, allowed\n"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "m.lasc"), 1, "m.lasc: the disk is full"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "m.lasc"), 1, "m.lasc: permission denied"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 4, "torch is not installed"),
    ],
)
def test_what_the_machine_refuses_is_one_line(error, code, says, command, capsys):
    assert command(error) == code
    err = capsys.readouterr().err
    assert err.startswith(f"lascompile: error: {says}") and err.count("\n") == 1


@pytest.mark.parametrize("error", [TypeError("None is not callable"), OSError("cannot load the library")])
def test_anything_else_is_called_a_bug(error, command, capsys):
    assert command(error) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"this is a bug in lascompile: {type(error).__name__}: {error}" in err
    assert "--traceback" in err and "lascompile doctor" in err


def test_traceback_shows_the_stack_and_keeps_the_exit_code(command, capsys):
    assert command(errors.DeviceError("no avx2"), "--traceback") == 5
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.endswith("lascompile: error: no avx2\n")


def test_the_exit_code_of_the_command_is_passed_on(command):
    assert command(0) == 0
    assert command(3) == 3


@pytest.mark.parametrize(("argv", "count"), [(["try"], 0), (["-v", "try"], 1), (["try", "-vv"], 2)])
def test_verbose_may_stand_before_or_after_the_command(argv, count, command):
    seen = []

    def keep(args: argparse.Namespace) -> int:
        seen.append(args.verbose)
        return 0

    command(keep)
    main(argv)
    assert seen == [0, count]


@pytest.fixture
def acting(command, monkeypatch):
    """`try again [--times N]`, which raises `error`."""

    def run_with(error, *argv):
        command(0)

        def add_arguments(parser: argparse.ArgumentParser) -> None:
            action = parser.add_subparsers(dest="action", required=True).add_parser("again")
            action.add_argument("--times", type=int)

        def run(args: argparse.Namespace) -> int:
            raise error

        monkeypatch.setattr(sys.modules["lascompile_try"], "add_arguments", add_arguments)
        monkeypatch.setattr(sys.modules["lascompile_try"], "run", run)
        return main([*argv])

    return run_with


@pytest.mark.parametrize("argv", ["--traceback try again", "try --traceback again", "try again --traceback"])
def test_global_options_may_stand_behind_an_action(argv, acting, capsys):
    assert acting(errors.DeviceError("no avx2"), *argv.split()) == 5
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ("try again --color", "unrecognized arguments: --color (see lascompile try again --help)"),
        ("try again --times x", "argument --times: invalid int value: 'x' (see lascompile try again --help)"),
        ("try --color again", "unrecognized arguments: --color (see lascompile try --help)"),
    ],
)
def test_a_wrong_option_of_an_action_points_to_the_help_that_has_it(argv, says, acting, capsys):
    assert acting(AssertionError("ran"), *argv.split()) == 2
    assert capsys.readouterr().err == f"lascompile: error: {says}\n"


def test_versions_are_checked_before_a_command_runs(command, monkeypatch, capsys):
    monkeypatch.setattr(toolchain.versions, "installed", lambda package: "0.1.15")
    assert command(AssertionError("ran")) == 4
    assert "apache-tvm" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--version"], ["doctor"]], ids=["print", "rich"])
def test_a_reader_that_goes_away_is_no_error(arguments):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PYTHON, *arguments], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_the_output_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*PYTHON, "--version"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"lascompile: error: the disk is full\n")


def test_a_closed_output_is_nowhere():
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        command = f"{sys.executable} -m lascompile --version {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_that_knows_few_characters(encoding):
    """Tables have lines, and models have names."""
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([*PYTHON, "doctor"], env=environment, capture_output=True, check=False)
    assert done.returncode in (0, 4)
    assert b"bug" not in done.stderr
    missing = subprocess.run([*PYTHON, "inspect", "nön→e.onnx"], env=environment, capture_output=True, check=False)
    assert missing.returncode == 2
    assert missing.stderr.count(b"\n") == 1 and b"no such file" in missing.stderr
