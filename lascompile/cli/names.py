"""Names as options take them: NAME,NAME."""

from __future__ import annotations


def names(text: str) -> tuple[str, ...]:
    """The names between the commas; none of an empty text."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
