"""What the documentation promises that a test can check: links, commands, exit codes, code that can be read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from lascompile import errors
from lascompile.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")))


def anchor(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(params=PAGES)
def page(request, root):
    return root / request.param


def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        name, _, fragment = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if fragment:
            headings = re.findall(r"^#+ (.*)$", without_code(file.read_text(encoding="utf-8")), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{page.name} links to {target}"


def test_the_readme_links_to_every_page(root):
    linked = re.findall(r"\]\((docs/[^)#]+\.md)\)", (root / "README.md").read_text(encoding="utf-8"))
    assert set(PAGES) - {"README.md"} <= set(linked)


def test_python_code_can_be_read(page):
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        ast.parse(code)


def test_files_that_are_named_exist(page, root):
    folders = [root / name for name in ("lascompile", "kernels", "schedules", "benchmarks", "tests", "docs")]
    paths = [f"/{path.relative_to(root)}" for folder in folders for path in (folder, *folder.rglob("*"))]
    for name in re.findall(r"`([\w/]+/[\w.]*(?:\.py|/))`", page.read_text(encoding="utf-8")):
        assert any(path.endswith(f"/{name.rstrip('/')}") for path in paths), f"{page.name} names {name}"


def test_every_command_is_shown(root):
    text = (root / "docs" / "commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+):", text, re.MULTILINE) == list(COMMANDS)


def test_the_readme_is_short(root):
    assert len((root / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_every_exit_code_is_listed(root):
    text = (root / "docs" / "commands.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    raised = {error.exit_code for error in vars(errors).values() if isinstance(error, type)}
    assert raised < listed
