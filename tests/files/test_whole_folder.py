"""A folder is the older one or the new one, also when its writer is killed at any of its steps."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from lascompile.files import exchange, lost_folder, writing_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from lascompile.files import whole_folder, writing_folder
where, times, place = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
left = [times]

def die_at(real):
    def call(*arguments):
        left[0] -= 1
        if left[0] == 0 and where.endswith("before"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

if where.startswith("exchange"):
    whole_folder.exchange = die_at(whole_folder.exchange)
else:
    whole_folder.exchange = lambda first, second: False
    Path.rename = die_at(Path.rename)
with writing_folder(place, lambda folder: None) as aside:
    (aside / "file").write_text("new")
"""
WRITE = """
import sys
from pathlib import Path
from lascompile.files import writing_folder
with writing_folder(Path(sys.argv[1]), lambda folder: None) as aside:
    (aside / "file").write_text("last")
"""


def old_folder(place):
    place.mkdir()
    (place / "file").write_text("old")


@pytest.mark.parametrize(
    ("where", "turn", "expected"),
    [
        ("exchange before", 1, "old"),
        ("exchange after", 1, "new"),
        ("rename before", 1, "old"),
        ("rename after", 1, None),
        ("rename before", 2, None),
        ("rename after", 2, "new"),
    ],
)
def test_a_kill_loses_nothing(tmp_path, where, turn, expected):
    place = tmp_path / "m.lasc"
    old_folder(place)
    done = subprocess.run([sys.executable, "-c", KILLED, where, str(turn), str(place)], check=False)
    assert done.returncode == -signal.SIGKILL
    if expected is None:
        lost = lost_folder(place)
        assert (lost / "file").read_text() == "old"
        with pytest.raises(KeyboardInterrupt), writing_folder(place, lambda folder: None):
            raise KeyboardInterrupt
        assert (place / "file").read_text() == "old"
    else:
        assert lost_folder(place) is None
        assert (place / "file").read_text() == expected
    subprocess.run([sys.executable, "-c", WRITE, str(place)], check=True)
    assert (place / "file").read_text() == "last"
    assert [path.name for path in tmp_path.iterdir()] == ["m.lasc"]


@pytest.mark.parametrize("where", ["exchange", "a new place"])
def test_what_fails_leaves_nothing(tmp_path, where):
    place = tmp_path / "m.lasc"
    if where == "exchange":
        old_folder(place)

    def refuse(folder):
        raise ValueError(folder)

    with pytest.raises(ValueError), writing_folder(place, refuse) as aside:  # noqa: PT011 - its own
        (aside / "file").write_text("new")
        if where == "a new place":
            raise ValueError
    assert [path.name for path in tmp_path.iterdir()] == (["m.lasc"] if where == "exchange" else [])


def test_what_comes_at_the_last_moment_is_not_replaced(tmp_path):
    """The folder is looked at again where nobody finds it by its name any more."""
    place = tmp_path / "m.lasc"
    old_folder(place)
    seen = []

    def check(folder):
        seen.append(folder)
        if len(seen) == 2:
            raise ValueError

    with pytest.raises(ValueError), writing_folder(place, check) as aside:  # noqa: PT011 - its own
        (aside / "file").write_text("new")
    assert seen[0] == place != seen[1]
    assert (place / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["m.lasc"]


def test_exchange(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("the file system cannot")
    assert (tmp_path / "a").read_text() == "b"
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")
