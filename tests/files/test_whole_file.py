"""A file is the older one or the new one, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lascompile.errors import UsageError
from lascompile.files import check_file_place, check_room, write_whole, writing
from lascompile.files.aside import PART, beside, held

KILLED = """
import os, signal, sys
from pathlib import Path
from lascompile.files import writing
where, place = sys.argv[1], Path(sys.argv[2])

def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

def after(real):
    def done(*arguments, **named):
        real(*arguments, **named)
        die()
    return done

if where == "before the rename":
    Path.replace = die
elif where == "after the rename":
    Path.replace = after(Path.replace)
with writing(place) as file:
    file.write(b"new" * 1000)
    if where == "while writing":
        die()
"""


@pytest.mark.parametrize("older", [None, b"old"])
@pytest.mark.parametrize("where", ["while writing", "before the rename", "after the rename"])
def test_a_kill_leaves_a_whole_file(tmp_path, where, older):
    place = tmp_path / "m.npz"
    if older is not None:
        place.write_bytes(older)
    done = subprocess.run([sys.executable, "-c", KILLED, where, str(place)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (place.read_bytes() if place.exists() else None) == (b"new" * 1000 if "after" in where else older)
    write_whole(place, "last")
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]
    assert place.read_bytes() == b"last"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no"), OSError(errno.ENOSPC, "No space")])
def test_a_failure_leaves_the_older_file(tmp_path, error):
    place = tmp_path / "table.png"
    place.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, writing(place) as file:
        file.write(b"half")
        raise error
    assert place.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.png"]
    if isinstance(error, OSError):
        assert caught.value.filename == str(place)


def test_permissions_and_links_stay(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "y").write_bytes(b"old")
    (tmp_path / "disk" / "y").chmod(0o640)
    (tmp_path / "y").symlink_to("disk/y")
    write_whole(tmp_path / "y", b"new")
    assert (tmp_path / "y").is_symlink()
    assert (tmp_path / "disk" / "y").read_bytes() == b"new"
    assert (tmp_path / "disk" / "y").stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_usual_permissions(tmp_path):
    former = os.umask(0o027)
    try:
        write_whole(tmp_path / "y", "ä")
    finally:
        os.umask(former)
    assert (tmp_path / "y").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "y").read_bytes() == "ä".encode()


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "a b*[c"])
def test_any_name_that_the_file_system_takes(tmp_path, name):
    write_whole(tmp_path / name, b"1")
    write_whole(tmp_path / name, b"2")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"2")]


def test_what_another_process_is_writing_stays(tmp_path):
    place = tmp_path / "y"
    other = beside(place, PART)
    other.touch()
    with held(other):
        write_whole(place, b"mine")
    assert other.exists()
    write_whole(place, b"mine")
    assert not other.exists()


def test_a_folder_that_cannot_be_written_to(tmp_path):
    with pytest.raises(OSError, match="No such file") as caught:
        write_whole(tmp_path / "none" / "y", b"")
    assert caught.value.filename == str(tmp_path / "none" / "y")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("y.txt", "unknown ending '.txt'; give a .png or .svg file"),
        ("none/y.png", " is not a folder; make it first"),
        ("folder.png", "is a folder; give the name of a file"),
        ("pipe.svg", "is a device, pipe or socket; give the name of a file"),
    ],
)
def test_places_that_no_file_can_be_written_to(tmp_path, name, says):
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.svg")
    with pytest.raises(UsageError) as caught:
        check_file_place("-o", tmp_path / name, (".png", ".svg"))
    assert str(caught.value).startswith(f"-o {tmp_path / name}: ")
    assert says in str(caught.value)


def test_places_that_will_do(tmp_path):
    (tmp_path / "old.PNG").touch()
    check_file_place("-o", tmp_path / "old.PNG", (".png",))
    check_file_place("-o", Path("anything"))


def test_room(tmp_path):
    check_room(tmp_path, 1000)
    with pytest.raises(OSError, match="No space left") as caught:
        check_room(tmp_path, 2**60)
    assert caught.value.errno == errno.ENOSPC


def test_a_limit_of_the_shell(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            check_room(tmp_path, 5000)
        check_room(tmp_path, 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
