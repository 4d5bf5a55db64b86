"""Which part may import which: the direction that docs and design promise, as tables."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"cli"}),
    frozenset({"compile", "tune", "measure", "search", "bench", "verify", "report"}),
    frozenset({"artifact_writer"}),
    frozenset({"passes", "pipeline", "lower", "codegen", "plan", "sites", "latency", "sample_inputs"}),
    frozenset({"frontend", "analysis", "models"}),
    frozenset({"runtime"}),
    frozenset({"manifest"}),
    frozenset({"records"}),
    frozenset({"schedules"}),
    frozenset({"kernels"}),
    frozenset({"toolchain", "cuda"}),
    frozenset({"workload", "target", "journal", "machine"}),
    frozenset({"files"}),
    frozenset({"errors", "cpu", "silent_onnxruntime"}),
)
"""Parts of lascompile, top first: a part imports from its own layer and from those below."""

ONLY: dict[str, frozenset[str]] = {
    "models": frozenset({"files", "errors"}),
    "kernels": frozenset({"workload", "errors"}),
    "runtime": frozenset({"manifest", "errors", "cpu"}),
    "manifest": frozenset({"files", "errors"}),
    "files": frozenset({"errors"}),
    "journal": frozenset({"errors"}),
    "machine": frozenset({"errors", "cpu"}),
    "errors": frozenset(),
}
"""Parts that may import even fewer of the others."""

THIRD_PARTIES: dict[str, frozenset[str]] = {
    # torch for a caller who gives torch's tensors and wants them back.
    "runtime": frozenset({"numpy", "tvm_ffi", "torch"}),
    "manifest": frozenset(),
    "kernels": frozenset({"numpy", "tvm"}),
    "journal": frozenset(),
    "files": frozenset(),
    "errors": frozenset(),
    "cpu": frozenset(),
}
"""Parts that may import these packages and no others; the rest is under USERS."""

USERS: dict[str, frozenset[str]] = {
    "torch": frozenset({"models", "runtime", "bench", "cli", "latency"}),
    "rich": frozenset({"cli", "report"}),
    "openvino": frozenset({"bench", "cli"}),
    "matplotlib": frozenset({"report"}),
    "onnxruntime": frozenset({"silent_onnxruntime"}),
}
"""Packages that only these parts may import."""

VAGUE = {"utils", "util", "misc", "helpers", "helper", "common"}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package by its dotted name; the linked folders by the name they install as."""
    # rglob stops at links.
    folders = [ROOT / "lascompile", ROOT / "lascompile" / "kernels", ROOT / "lascompile" / "schedules"]
    files = {file for folder in folders for file in folder.rglob("*.py")}
    for file in sorted(files):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), file


MODULES = dict(modules())
PARTS = sorted({name.split(".")[1] for name in MODULES if "." in name} - {"__main__"})


def imports(module: str, file: Path) -> Iterator[str]:
    """Dotted names that a module imports, inside functions too; not what only the type checker reads."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield from walk(child)


def of_part(part: str) -> Iterator[tuple[str, str]]:
    """(module, what it imports) over the modules of a part."""
    for module, file in MODULES.items():
        if module.split(".")[1:2] == [part]:
            yield from ((module, imported) for imported in imports(module, file))


def parts_imported(part: str) -> Iterator[tuple[str, str]]:
    """(module, part it imports) over the modules of a part, itself left out."""
    for module, imported in of_part(part):
        names = imported.split(".")
        # `from lascompile import __version__` imports no part.
        if names[0] == "lascompile" and names[1] in PARTS and names[1] != part:
            yield module, names[1]


def layer(part: str) -> int:
    found = [index for index, names in enumerate(LAYERS) if part in names]
    assert len(found) == 1, f"lascompile/{part} is in {len(found)} layers: give it its place in LAYERS"
    return found[0]


@pytest.mark.parametrize("part", PARTS)
def test_imports_point_down(part):
    for module, other in parts_imported(part):
        assert layer(part) <= layer(other), f"{module} imports {other}, which is above it"
        assert other in ONLY.get(part, PARTS), f"{module} imports {other}; allowed: {sorted(ONLY[part])}"


@pytest.mark.parametrize("part", PARTS)
def test_packages_stay_where_they_belong(part):
    for module, imported in of_part(part):
        package = imported.split(".")[0]
        if package == "lascompile" or package in sys.stdlib_module_names:
            continue
        allowed = THIRD_PARTIES.get(part)
        assert allowed is None or package in allowed, f"{module} imports {package}, not of {sorted(allowed)}"
        users = USERS.get(package)
        assert users is None or part in users, f"{module} imports {package}, which is for {sorted(users)}"


def test_parts_import_each_other_without_a_cycle():
    graph = {part: {other for _, other in parts_imported(part)} for part in PARTS}
    done = set()

    def visit(part: str, path: tuple[str, ...]) -> None:
        assert part not in path, f"imports in a circle: {' -> '.join((*path, part))}"
        if part not in done:
            for other in sorted(graph[part]):
                visit(other, (*path, part))
            done.add(part)

    for part in PARTS:
        visit(part, ())


def test_the_package_itself_imports_nothing():
    imported = {name.split(".")[0] for name in imports("lascompile", MODULES["lascompile"])}
    assert imported <= sys.stdlib_module_names


def test_nobody_imports_the_command_line():
    users = {
        module
        for module, file in MODULES.items()
        for imported in imports(module, file)
        if imported.startswith("lascompile.cli") and not module.startswith("lascompile.cli")
    }
    assert users == {"lascompile.__main__"}


def test_file_names_say_what_is_inside():
    folders = [ROOT / name for name in ("lascompile", "kernels", "schedules", "benchmarks", "tests")]
    vague = [path for folder in folders for path in folder.rglob("*") if path.stem.strip("_") in VAGUE]
    assert vague == []


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the strings of a module, but for docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


def names(node: ast.AST) -> set[str]:
    """The names and attributes within."""
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


SCHEDULED = {"parallel", "vectorized", "unroll", "launch_thread", "thread_binding", "env_thread", "call_llvm_intrin"}
"""What a schedule does, in TVM's builder."""


@pytest.mark.parametrize("file", sorted((ROOT / "kernels").glob("*.py")), ids=lambda file: file.name)
def test_kernels_are_definitions_only(file: Path) -> None:
    """They know no target, and how they run is said elsewhere."""
    used = names(ast.parse(file.read_text(encoding="utf-8"))) & SCHEDULED
    assert not used, f"kernels/{file.name} uses {', '.join(sorted(used))}: that belongs to schedules/<target>/"


OF_TARGETS = ("cpu", "cuda")
"""The kinds of targets, by their folders in schedules/."""

DEVICE_WORD = re.compile(r"(?<![a-z])(avx|avx2|avx512\w+|amx-\w+|sse4\S*|neon|sve2?|f16c|sm_\d+)(?![a-z])")
"""An instruction set or an architecture."""

MAY_NAME_DEVICES = ("cpu.py", "target/", "machine/", "runtime/", "native/", "latency/published/", "cuda/")
"""Within lascompile/: who finds out what there is, the types of targets, their data sheets, and what runs artifacts."""

SPELLED = {"cli/tuning_arguments.py"}
"""Where help shows users how a target is spelled."""


def test_only_targets_name_what_devices_have() -> None:
    found = []
    for file in MODULES.values():
        place = file.relative_to(ROOT / "lascompile").as_posix()
        allowed = place.startswith((*MAY_NAME_DEVICES, *(f"schedules/{kind}/" for kind in OF_TARGETS)))
        if not allowed and place not in SPELLED:
            found += [f"{place}:{line} {text!r}" for line, text in texts(file) if DEVICE_WORD.search(text)]
    assert not found, f"instruction sets and architectures outside of schedules/<target>/: {found}"


OF_CPUS_ALONE = {"tune/runner.py", "tune/builder.py", "tune/trial.py", "measure/visitor.py", "bench/peaks.py"}
"""Boards' permissions, which tuning asks for, and the peaks of a CPU."""


def test_only_the_table_of_backends_imports_a_targets_schedules() -> None:
    found = []
    for module, file in MODULES.items():
        place = file.relative_to(ROOT / "lascompile").as_posix()
        for imported in imports(module, file):
            of = [kind for kind in OF_TARGETS if imported.startswith(f"lascompile.schedules.{kind}.")]
            is_own = any(place.startswith(f"schedules/{kind}/") for kind in of)
            if of and not is_own and place not in {"schedules/backends.py", *OF_CPUS_ALONE}:
                found.append(f"{place} imports {imported}")
    assert not found


def algorithm_names() -> set[str]:
    from lascompile.schedules.backends import BACKENDS

    return {name for backend in BACKENDS.values() for name in backend.algorithms}


def conditions(tree: ast.AST) -> Iterator[ast.AST]:
    """What decides: comparisons, and the keys of tables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            yield node
        elif isinstance(node, ast.Dict):
            yield from (key for key in node.keys if key is not None)


def test_no_algorithms_name_stands_in_a_condition() -> None:
    """What is special about an algorithm is a field of its row."""
    algorithms, found = algorithm_names(), []
    for file in MODULES.values():
        for condition in conditions(ast.parse(file.read_text(encoding="utf-8"))):
            said = {str(node.value) for node in ast.walk(condition) if isinstance(node, ast.Constant)}
            found += [f"{file.relative_to(ROOT)}: {name} in {ast.unparse(condition)}" for name in said & algorithms]
    assert not found


def test_no_two_classes_share_a_name() -> None:
    """One word for one thing."""
    where: dict[str, list[str]] = {}
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}
