"""Small damages, as a broken disk, a cut download or an attacker makes them."""

from __future__ import annotations

import random

_SPECIAL = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\xff" * 9 + b"\x01", b"-1", b"NaN", b"../", b'"')


def mutate(seed: bytes, rng: random.Random) -> bytes:
    """`seed` with one to four damages."""
    content = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        _DAMAGES[rng.randrange(len(_DAMAGES))](content, rng)
    return bytes(content)


def _place(content: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(content)) if content else 0


def _flip(content: bytearray, rng: random.Random) -> None:
    if content:
        content[_place(content, rng)] ^= 1 << rng.randrange(8)


def _cut(content: bytearray, rng: random.Random) -> None:
    del content[_place(content, rng) :]


def _drop(content: bytearray, rng: random.Random) -> None:
    start = _place(content, rng)
    del content[start : start + rng.randint(1, 16)]


def _repeat(content: bytearray, rng: random.Random) -> None:
    start = _place(content, rng)
    content[start:start] = content[start : start + rng.randint(1, 64)]


def _insert(content: bytearray, rng: random.Random) -> None:
    start = _place(content, rng)
    content[start:start] = rng.choice(_SPECIAL)


def _overwrite(content: bytearray, rng: random.Random) -> None:
    start, special = _place(content, rng), rng.choice(_SPECIAL)
    content[start : start + len(special)] = special


_DAMAGES = (_flip, _flip, _flip, _cut, _drop, _repeat, _insert, _overwrite)
