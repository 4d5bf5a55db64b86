"""Tables on terminals of any width, and no escape sequences where they are not wanted."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from lascompile.cli import console as module
from lascompile.cli.console import colors, output_console


def wide_table():
    table = Table(*(f"heading{number}" for number in range(12)), box=None, header_style="bold")
    table.add_row(*(f"word-{number}-of-the-row" for number in range(12)))
    return table


@pytest.mark.parametrize("width", [20, 60, 100, 300])
def test_no_column_and_no_word_is_lost(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    output_console().print(wide_table())
    printed = capsys.readouterr().out
    for number in range(12):
        assert f"heading{number}" in printed
        assert f"word-{number}-of-the-row" in printed
    assert len(printed.splitlines()) == 2


@pytest.mark.parametrize(("value", "is_plain"), [("1", True), ("", False)])
def test_no_color(value, is_plain, monkeypatch):
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system=colors()).print("heading", style="bold red")
    assert ("\x1b" not in stream.getvalue()) == is_plain


def test_every_console_asks():
    assert module.output_console().color_system is None  # no terminal here
