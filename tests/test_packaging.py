from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from lascompile import __version__, toolchain

LINKS = ("kernels", "schedules")
RECORDS = "schedules/records/a-device/tvm-0.27.0.post1/trials.jsonl"


def project(root: Path) -> dict:
    # Python 3.10 has no tomllib; pytest brings tomli there.
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    return toml.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(root: Path) -> dict[str, tuple[str, str | None]]:
    """Package -> (specifier, extra), as pyproject.toml declares them."""
    declared = project(root)
    lists = [(None, declared["dependencies"]), *declared["optional-dependencies"].items()]
    split = ((*re.split(r"(?=[=>])", line, maxsplit=1), extra) for extra, lines in lists for line in lines)
    return {name: (specifier, extra) for name, specifier, extra in split}


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> list[str]:
    """Names of the files in a wheel, built from a copy so that the working tree stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("lascompile", *LINKS):
        shutil.copytree(root / name, folder / name, symlinks=True, ignore=ignore)
    for path in (root / "pyproject.toml", root / "LICENSE", *root.glob("README.md")):
        shutil.copy(path, folder)
    (folder / RECORDS).parent.mkdir(parents=True, exist_ok=True)
    (folder / RECORDS).touch()
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-cache-dir", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--wheel-dir", folder / "dist", folder], check=True)
    with zipfile.ZipFile(next((folder / "dist").glob("*.whl"))) as archive:
        return archive.namelist()


@pytest.mark.parametrize("name", LINKS)
def test_the_links_are_relative(name, root):
    link = root / "lascompile" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


@pytest.mark.parametrize("name", LINKS)
def test_the_bare_name_is_refused(name, root):
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert f"import lascompile.{name}" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", LINKS)
def test_the_installed_name_is_not(name):
    assert importlib.import_module(f"lascompile.{name}").__name__ == f"lascompile.{name}"


def test_a_wheel_contains_the_linked_folders(wheel, root):
    for name in LINKS:
        files = {str(file.relative_to(root)) for file in (root / name).rglob("*.py")}
        assert {f"lascompile/{file}" for file in files} <= set(wheel)
    assert {f"lascompile/{RECORDS}", "lascompile/py.typed"} <= set(wheel)


def test_a_wheel_contains_the_native_sources(wheel, root):
    sources = {file.name for file in (root / "lascompile" / "native").iterdir() if file.suffix in (".c", ".h")}
    assert "pool.c" in sources
    assert {f"lascompile/native/{name}" for name in sources} <= set(wheel)


def test_a_wheel_contains_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert tops == {"lascompile", f"lascompile-{__version__}.dist-info"}
    assert [name for name in wheel if name.endswith("LICENSE")]
    inside = (Path(name) for name in wheel if name.startswith("lascompile/"))
    assert {path.suffix for path in inside} <= {".py", ".json", ".jsonl", ".typed", ".c", ".h"}


def test_the_packages_that_are_named_to_users_are_those_declared(root):
    declared = requirements(root)
    for package in toolchain.PACKAGES:
        assert declared[package.name] == (package.specifier, package.extra)
    for requirement in toolchain.REQUIREMENTS:
        assert declared[requirement.package] == (f"=={requirement.pin}", None)
    known = {entry.name for entry in toolchain.PACKAGES} | {entry.package for entry in toolchain.REQUIREMENTS}
    assert {name for name, (_, extra) in declared.items() if extra != "test"} == known


def test_every_import_is_declared(root):
    modules = {package.module for package in toolchain.PACKAGES}
    own = {"lascompile", "tvm", "tvm_ffi"} | set(sys.stdlib_module_names)
    for folder in (root / "lascompile", *(root / name for name in LINKS)):
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    names = [node.module]
                unknown = {name.split(".")[0] for name in names} - modules - own
                assert not unknown, f"{file} imports {unknown}: declare it in pyproject.toml and PACKAGES"


def test_what_is_installed_here_fits_what_is_declared(root):
    packaging = pytest.importorskip("packaging.specifiers")
    for name, (specifier, _) in requirements(root).items():
        version = toolchain.installed(name)
        if version:
            assert version in packaging.SpecifierSet(specifier), f"{name} {version} is not {specifier}"


def test_the_version_is_the_installed_one():
    try:
        assert metadata.version("lascompile") == __version__
    except metadata.PackageNotFoundError:
        pytest.skip("lascompile is run from its folder")


def test_lascompile_gives_nothing_that_it_does_not_have():
    import lascompile

    assert {"build", "load", "Artifact", "__version__"} <= set(dir(lascompile))
    with pytest.raises(AttributeError, match="module 'lascompile' has no attribute 'biuld'"):
        lascompile.biuld  # noqa: B018
