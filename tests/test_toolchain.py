from __future__ import annotations

import errno
import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from lascompile import cpu, toolchain
from lascompile.errors import ToolchainError
from lascompile.target import parse_target
from lascompile.toolchain import Linker, check_versions, find_linker, link_function, missing_package
from lascompile.toolchain.trial import build_library, run_library

HERE = f"{cpu.processor()}-linux-gnu"
MACHINES = {"x86_64": 62, "aarch64": 183}
"""The e_machine field of an ELF file."""


def with_versions(monkeypatch, **versions):
    names = {name.replace("_", "-"): version for name, version in versions.items()}
    monkeypatch.setattr(toolchain.versions, "installed", names.get)


def elf_machine(path: Path) -> int:
    return struct.unpack("<H", path.read_bytes()[18:20])[0]


def only(monkeypatch, tmp_path, **programs):
    """A PATH that holds nothing but these shell scripts."""
    for name, script in programs.items():
        path = tmp_path / name.replace("xx", "++")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_what_is_installed_here_works():
    check_versions()


def test_the_tested_versions_are_no_fault(monkeypatch):
    pins = {requirement.package.replace("-", "_"): requirement.pin for requirement in toolchain.REQUIREMENTS}
    with_versions(monkeypatch, **pins)
    check_versions()


@pytest.mark.parametrize(
    ("tvm", "ffi", "says", "remedy"),
    [
        ("0.27.0.post1", "0.1.15", "apache-tvm-ffi 0.1.15 makes apache-tvm 0.27 crash", "-ffi==0.1.14.post1"),
        ("0.27.0.post1", "0.1.15.post2", "segmentation fault", "apache-tvm-ffi==0.1.14.post1"),
        ("0.27.0.post1", "0.2.0", "crash", "apache-tvm-ffi==0.1.14.post1"),
        ("0.27.0.post1", "0.1.13", "is refused by apache-tvm 0.27", "apache-tvm-ffi==0.1.14.post1"),
        ("0.27.0.post1", None, "apache-tvm-ffi is not installed", "apache-tvm-ffi==0.1.14.post1"),
        ("0.26.0", "0.1.14.post1", "apache-tvm 0.26.0 lacks interfaces", "apache-tvm==0.27.0.post1"),
        ("0.28.dev0", "0.1.14.post1", "is newer than lascompile knows", "apache-tvm==0.27.0.post1"),
        (None, None, "apache-tvm is not installed", "apache-tvm==0.27.0.post1"),
    ],
)
def test_versions_that_break_each_other_are_refused_with_a_remedy(tvm, ffi, says, remedy, monkeypatch):
    with_versions(monkeypatch, apache_tvm=tvm, apache_tvm_ffi=ffi)
    with pytest.raises(ToolchainError) as caught:
        check_versions()
    assert says in str(caught.value)
    assert f"{remedy}`" in str(caught.value) and "pip install" in str(caught.value)


def test_versions_are_refused_before_tvm_is_imported():
    script = (
        "import sys, importlib.metadata as metadata\n"
        "real = metadata.version\n"
        "metadata.version = lambda name: '0.1.15' if name == 'apache-tvm-ffi' else real(name)\n"
        "import lascompile\n"
        "try: lascompile.build\n"
        "except lascompile.errors.ToolchainError: print('tvm' in sys.modules, 'tvm_ffi' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_a_package_that_is_missing_names_its_use_and_how_to_get_it():
    error = missing_package("torch.nn")
    assert str(error).startswith("torch is not installed, needed for export")
    assert "pip install 'torch==2.13.0'" in str(error)
    assert "pillow" in str(missing_package("PIL"))
    assert missing_package("lascompile.nothing") is None
    assert missing_package(None) is None


def test_the_compiler_of_the_system_is_preferred(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path, gcc="echo gcc 1", cxx="echo c++ 2")
    assert find_linker(HERE) == Linker("c++", (str(tmp_path / "c++"),), cpu.processor())
    assert find_linker(HERE).version == "c++ 2"


def test_a_program_that_only_pretends_to_be_a_compiler_is_passed_over(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path, cxx="exit 1", gcc="echo gcc 1")
    assert find_linker(HERE).name == "gcc"


def test_ziglang_links_where_there_is_no_compiler(monkeypatch, tmp_path):
    pytest.importorskip("ziglang")
    only(monkeypatch, tmp_path)
    found = find_linker(HERE)
    assert (found.name, found.command[0]) == ("ziglang", sys.executable)


def test_a_compiler_of_this_machine_is_not_used_for_another(monkeypatch, tmp_path):
    pytest.importorskip("ziglang")
    other = next(name for name in MACHINES if name != cpu.processor())
    only(monkeypatch, tmp_path, cxx="echo c++ 2")
    assert find_linker(f"{other}-linux-gnu").name == "ziglang"
    only(monkeypatch, tmp_path, **{f"{other}-linux-gnu-gcc": "echo gcc 1"})
    assert find_linker(f"{other}-linux-gnu").name == f"{other}-linux-gnu-gcc"


def test_no_linker_at_all(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError, match="no linker for .*: found neither .* pip install 'ziglang==0.17"):
        link_function(HERE)


_LINKS_NOTHING = """[ "$1" = --version ] && echo 1 && exit
if [ "$1" = -shared ]; then echo no space >&2; exit 1; fi
while [ $# -gt 0 ]; do [ "$1" = -o ] && : > "$2"; shift; done"""


def test_what_a_failing_linker_says_is_passed_on(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path, cxx=_LINKS_NOTHING)
    with pytest.raises(ToolchainError, match="c[+][+] could not link the library: no space"):
        link_function(HERE)(str(tmp_path / "a.so"), ["a.o"])


def test_a_compiler_without_headers_is_told_of(monkeypatch, tmp_path):
    only(monkeypatch, tmp_path, cxx='[ "$1" = --version ] && echo 1 && exit; echo "error: no <pthread.h>" >&2; exit 1')
    with pytest.raises(ToolchainError, match="could not compile pool.c .error: no <pthread.h>.; install the C library"):
        link_function(HERE)(str(tmp_path / "a.so"), ["a.o"])


@pytest.mark.parametrize("step", ["-c", "-shared"])
def test_a_full_disk_is_no_fault_of_the_toolchain(step, monkeypatch, tmp_path):
    """Whether there is no room for the native sources' code or for the library."""
    wanted = f'case " $* " in *" {step} "*) full=1;; esac\nif [ "$full" ]'
    script = _LINKS_NOTHING.replace('if [ "$1" = -shared ]', wanted)
    only(monkeypatch, tmp_path, cxx=script.replace("no space", "No space left on device"))
    with pytest.raises(OSError, match="No space left on device") as caught:
        link_function(HERE)(str(tmp_path / "a.so"), ["a.o"])
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.skipif(link_function(HERE).name == "ziglang", reason="needs a compiler")
def test_a_library_of_the_compiler_runs(tmp_path):
    build_library(tmp_path / "trial.so", parse_target("llvm"))
    run_library(tmp_path / "trial.so")


def test_a_library_of_ziglang_runs_and_needs_no_compiler_and_no_home(tmp_path):
    pytest.importorskip("ziglang")
    script = (
        "import sys; from pathlib import Path\n"
        "from lascompile.target import parse_target; from lascompile.toolchain import trial, find_linker\n"
        "path = Path(sys.argv[1]); target = parse_target('llvm')\n"
        "assert find_linker(target.mtriple).name == 'ziglang'\n"
        "trial.build_library(path, target); trial.run_library(path)\n"
    )
    environment = {**os.environ, "PATH": "", "HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "trial.so")], env=environment, check=True)
    assert elf_machine(tmp_path / "trial.so") == MACHINES[cpu.processor()]


@pytest.mark.parametrize("processor", sorted(MACHINES))
def test_libraries_for_either_processor(processor, tmp_path):
    if find_linker(f"{processor}-linux-gnu") is None:
        pytest.skip("needs ziglang")
    build_library(tmp_path / "trial.so", parse_target(f"llvm -mtriple={processor}-linux-gnu -mcpu=generic"))
    assert elf_machine(tmp_path / "trial.so") == MACHINES[processor]


def test_a_library_asks_for_no_version_of_the_c_library(tmp_path):
    build_library(tmp_path / "trial.so", parse_target("llvm"))
    assert b"GLIBC_" not in (tmp_path / "trial.so").read_bytes()


def test_nothing_of_this_machine_is_left_in_a_library(tmp_path):
    build_library(tmp_path / "trial.so", parse_target("llvm"))
    content = (tmp_path / "trial.so").read_bytes()
    assert str(tmp_path).encode() not in content
    assert str(Path.cwd()).encode() not in content
    build_library(tmp_path / "again.so", parse_target("llvm"))
    assert (tmp_path / "again.so").read_bytes() == content


def test_a_trial_refuses_a_wrong_result(tmp_path, monkeypatch):
    import tvm_ffi

    monkeypatch.setattr(tvm_ffi, "load_module", lambda path: {"main": lambda x, y: None})
    with pytest.raises(RuntimeError, match="the compiled function returned"):
        run_library(tmp_path / "trial.so")
