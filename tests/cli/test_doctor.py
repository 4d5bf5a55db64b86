from __future__ import annotations

import json
import subprocess

import pytest

from lascompile import toolchain
from lascompile.cli import doctor
from lascompile.cli.main import main

SECTIONS = ["system", "cpu", "gpu", "packages", "optional", "build"]


@pytest.fixture
def trial_succeeds(monkeypatch):
    monkeypatch.setattr(doctor, "_trial", lambda: doctor.Check("build", "trial", "compiled, ran", "ok"))


def report(capsys, *argv):
    code = main(["doctor", "--json", *argv])
    return code, json.loads(capsys.readouterr().out)


def by_name(found):
    return {check["name"]: check for check in found["checks"]}


def test_this_machine_can_build(capsys):
    code, found = report(capsys)
    assert (code, found["schema"], found["works"]) == (0, 1, True)
    assert by_name(found)["trial"]["status"] == "ok"
    assert "llvm -mtriple=" in by_name(found)["trial"]["found"]


def test_the_table_has_all_sections_in_order(trial_succeeds, capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[:1].strip()] == [*SECTIONS, "A"]
    assert lines[-1] == "A build works here."


def test_versions_that_break_each_other_are_marked_and_mended(trial_succeeds, monkeypatch, capsys):
    real = toolchain.installed
    wrong = {"apache-tvm-ffi": "0.1.15"}
    monkeypatch.setattr(toolchain.versions, "installed", lambda package: wrong.get(package) or real(package))
    code, found = report(capsys)
    assert (code, found["works"]) == (4, False)
    check = by_name(found)["apache-tvm-ffi"]
    assert check["status"] == "bad"
    assert "crash" in check["advice"] and "pip install apache-tvm-ffi==0.1.14.post1" in check["advice"]


def test_a_missing_optional_part_says_how_to_get_it(trial_succeeds, monkeypatch, capsys):
    real = toolchain.installed
    monkeypatch.setattr(toolchain, "installed", lambda name: None if name == "openvino" else real(name))
    code, found = report(capsys)
    assert (code, found["works"]) == (0, True)
    check = by_name(found)["openvino"]
    assert check["status"] == "missing"
    assert "pip install 'openvino" in check["advice"]


def test_no_linker_means_no_build(trial_succeeds, monkeypatch, capsys):
    monkeypatch.setattr(toolchain, "find_linker", lambda mtriple: None)
    code, found = report(capsys)
    assert (code, found["works"]) == (4, False)
    assert "ziglang" in by_name(found)["linker"]["advice"]


@pytest.mark.parametrize(
    ("returncode", "stderr", "says"),
    [(-11, "", "crashed with signal 11"), (1, "Traceback\nToolchainError: no linker", "failed")],
)
def test_a_trial_that_fails_does_not_take_the_report_with_it(returncode, stderr, says, monkeypatch):
    done = subprocess.CompletedProcess([], returncode, "", stderr)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    check = doctor._trial()
    assert (check.status, check.found) == ("bad", says)


def test_a_trial_that_hangs_is_reported(monkeypatch):
    def hang(command, **kwargs):
        raise subprocess.TimeoutExpired(command, kwargs["timeout"])

    monkeypatch.setattr(subprocess, "run", hang)
    assert doctor._trial().found == "no end after 120 s"


def test_thread_variables_are_shown_since_others_obey_them(trial_succeeds, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    _, found = report(capsys)
    assert by_name(found)["OMP_NUM_THREADS"]["found"] == "7"
