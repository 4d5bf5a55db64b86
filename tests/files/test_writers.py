"""Every file that a user gets is written by `lascompile.files`: whole, or not at all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "lascompile"
WRITES = {"write_text", "write_bytes", "savez", "savez_compressed", "savetxt", "tofile"}
OTHERS = {
    "journal/journal.py": "appends lines, and replaces the file by its own means, under its lock",
    "artifact_writer/write.py": "writes into the folder that writing_folder puts in its place",
    "toolchain/linker.py": "writes into a temporary folder",
    "cuda/ptxas.py": "writes into a temporary folder",
}
"""Files that write by themselves, and why they may."""


def writing_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        modes = [item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        opens = name == "open" and any(set(mode) & set("wax+") and len(mode) <= 3 for mode in modes)
        # What is saved goes into a file that somebody has opened.
        into = getattr(node.args[0], "id", "") if node.args else ""
        saves = name in ("save", "savefig") and into not in ("file", "content")
        if name in WRITES or opens or saves:
            yield node


def test_who_writes():
    writers = set()
    for file in sorted(ROOT.rglob("*.py")):
        calls = [call for call in writing_calls(ast.parse(file.read_text(encoding="utf-8"))) if not is_nowhere(call)]
        name = file.relative_to(ROOT).as_posix()
        if calls and not name.startswith("files/"):
            writers.add(name)
    assert writers == set(OTHERS)


def is_nowhere(call: ast.Call) -> bool:
    """Into /dev/null, or into a member of an archive that is being written."""
    where = ast.unparse(call.func)
    return "devnull" in where or where == "archive.open"
