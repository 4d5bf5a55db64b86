"""A folder that appears under its name when it is whole, and an older one that gives way to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lascompile.files.aside import OLD, PART, beside, found_beside, held, remove, renamed_error, sweep, sync_folder
from lascompile.files.exchange import exchange


@contextmanager
def writing_folder(folder: Path, check: Callable[[Path], None]) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when all went well, and vanishes otherwise.

    Where two names can be exchanged there is no moment without a folder at that place. Where they cannot, a process
    that is killed between two renames leaves the older folder under another name: see `lost_folder`.

    Args:
        folder: The place; a link is followed.
        check: Raises, if the folder that it is given, the one at the place, must not be replaced. Asked twice: before,
            and about what was really taken away.

    Raises:
        OSError: It cannot be written, or not put there. The error names `folder` if it named no file, or one in it.
    """
    place = folder.resolve()
    try:
        recover(place)
        sweep(place)
        aside = _new_folder(place)
    except OSError as error:
        raise renamed_error(error, folder) from error
    try:
        with held(aside):
            yield aside
            for file in aside.iterdir():
                sync_folder(file)  # a file is synced as a folder is
            _put(aside, place, check)
            sync_folder(place.parent)
            for older in found_beside(place, OLD):  # of a process killed behind its last rename
                remove(older)
    except OSError as error:
        if error.filename is None or str(error.filename).startswith((str(aside), str(place))):
            raise renamed_error(error, folder) from error
        raise
    finally:
        remove(aside)


def lost_folder(place: Path) -> Path | None:
    """Where the folder is that stood at `place` until a process was killed between two renames; None if nowhere."""
    place = place.resolve()
    left = found_beside(place, OLD) if not place.exists() else []
    return left[-1] if left else None


def recover(place: Path) -> None:
    """Put back what `lost_folder` finds."""
    lost = lost_folder(place)
    if lost is not None:
        lost.rename(place)


def _new_folder(place: Path) -> Path:
    aside = beside(place, PART)
    aside.mkdir()
    return aside


def _put(aside: Path, place: Path, check: Callable[[Path], None]) -> None:
    if not place.exists():
        aside.rename(place)
        return
    check(place)
    if exchange(aside, place):
        try:
            check(aside)
        except BaseException:
            exchange(aside, place)
            raise
        return
    old = beside(place, OLD)
    try:
        place.rename(old)
        check(old)
        aside.rename(place)
    except BaseException:
        recover(place)
        raise
    remove(old)
