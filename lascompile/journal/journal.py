"""An append-only file of JSON objects that many processes may write to, each of which may be killed at any moment.

- A writer holds the lock, appends whole lines, and syncs them to the disk before it returns.
- What a killed writer left of a line has no newline. Readers leave it out; the next writer cuts it off.
- A line that is damaged (its checksum does not match) is reported with its number and left out; the next writer moves
  it to the file `….quarantine`. All other lines are used.
- Readers take no lock and write nothing.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lascompile.journal.line import decode_line, encode_line, to_payload
from lascompile.journal.lock import locked

_LOG = logging.getLogger("lascompile.journal")
_REMEMBERED = 256
"""Bytes before the end of what was read, by which a file is known to be the same one, only longer."""


@dataclass(frozen=True)
class Entry:
    """A line: its number in the file from 1 on, its data, and the JSON text of it."""

    line: int
    payload: bytes
    data: dict[str, Any]


@dataclass(frozen=True)
class Damage:
    """A line that cannot be read, and why."""

    path: Path
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line} is damaged and left out: {self.why}"


@dataclass
class _Scan:
    """What was read of the file so far."""

    inode: tuple[int, int] | None = None
    end: int = 0
    last: bytes = b""
    lines: int = 0
    entries: list[Entry] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)


class Journal:
    """The file `path`, which need not exist yet. May be shared between threads."""

    def __init__(self, path: Path, lock_timeout_s: float = 60.0) -> None:
        self.path = path
        self.quarantine = path.with_name(f"{path.name}.quarantine")
        self._lock_timeout_s = lock_timeout_s
        self._scan = _Scan()
        self._threads = threading.RLock()

    def entries(self) -> list[Entry]:
        """All lines that can be read, in order.

        Raises:
            OSError: The file is there, and cannot be read.
        """
        with self._threads:
            self._read_on()
            return list(self._scan.entries)

    def damaged(self) -> list[Damage]:
        """The lines that cannot be read and are still in the file."""
        with self._threads:
            self._read_on()
            return list(self._scan.damaged)

    def quarantined(self) -> int:
        """How many damaged lines were moved out of the file."""
        return len(_lines(self.quarantine))

    def append(self, *items: Mapping[str, Any]) -> None:
        """Write a line for each of `items`; they are on the disk when this returns.

        A process that is killed meanwhile leaves the first of them, each whole, and at most a torn one behind.

        Raises:
            LascompileError: Another process holds the lock.
            OSError: The file cannot be written; it then holds what it held before.
        """
        payloads = [to_payload(item) for item in items]
        with self._writing():
            self._write(payloads)

    def append_missing(self, payloads: Iterable[bytes]) -> int:
        """Write those of `payloads` (the JSON text of an entry) that are not there yet; returns how many were.

        Raises:
            LascompileError, OSError: As for `append`.
        """
        with self._writing():
            present = {entry.payload for entry in self._scan.entries}
            missing = [payload for payload in dict.fromkeys(payloads) if payload not in present]
            self._write(missing)
        return len(missing)

    def prune(self, keep: Callable[[Entry], bool]) -> int:
        """Remove the lines that `keep` does not want, all at once or, when killed, none; returns how many.

        Raises:
            LascompileError, OSError: As for `append`.
        """
        if not self.path.exists():
            return 0
        with self._writing():
            entries = self._scan.entries
            kept = [entry for entry in entries if keep(entry)]
            if len(kept) < len(entries):
                self._replace([encode_line(entry.payload) for entry in kept])
        return len(entries) - len(kept)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone with the file, in which every whole line is sound."""
        with self._threads:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.path, self._lock_timeout_s):
                self._read_on()
                self._repair_tail()
                if self._scan.damaged:
                    self._move_damaged_lines()
                yield

    def _read_on(self) -> None:
        """Read what was added since the last time; all of it where the file is another one."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            self._scan = _Scan()
            return
        with file:
            status = os.fstat(file.fileno())
            scan = self._scan
            file.seek(scan.end - len(scan.last))
            if scan.inode != (status.st_dev, status.st_ino) or file.read(len(scan.last)) != scan.last:
                scan = self._scan = _Scan(inode=(status.st_dev, status.st_ino))
                file.seek(0)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        for line in whole.split(b"\n")[:-1]:
            scan.lines += 1
            self._read_line(scan, line)
        scan.end += len(whole)
        scan.last = (scan.last + whole)[-_REMEMBERED:]

    def _read_line(self, scan: _Scan, line: bytes) -> None:
        if not line.strip():
            return
        try:
            scan.entries.append(Entry(scan.lines, *decode_line(line)))
        except ValueError as error:
            damage = Damage(self.path, scan.lines, str(error))
            scan.damaged.append(damage)
            _LOG.warning("%s", damage)

    def _write(self, payloads: Sequence[bytes]) -> None:
        """Append lines."""
        if not payloads:
            return
        is_new = self._scan.inode is None
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _write_whole(file, b"".join(map(encode_line, payloads)), self.path)
        finally:
            os.close(file)
        if is_new:
            _sync_folder(self.path.parent)

    def _repair_tail(self) -> None:
        """What stands behind the last newline: complete it, if it lacks nothing else, or cut it off."""
        if self._scan.inode is None:
            return
        with self.path.open("r+b") as file:
            file.seek(self._scan.end)
            tail = file.read()
            if not tail:
                return
            try:
                decode_line(tail)
            except ValueError:
                file.truncate(self._scan.end)
            else:
                file.write(b"\n")
        self._read_on()

    def _move_damaged_lines(self) -> None:
        raw = _lines(self.path)
        damaged = [raw[damage.line - 1] for damage in self._scan.damaged]
        known = set(_lines(self.quarantine))  # a writer killed in between has moved some already
        with self.quarantine.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in damaged if line not in known))
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(self.path.parent)
        _LOG.warning("%s: damaged lines moved to %s: %d", self.path, self.quarantine.name, len(damaged))
        self._replace([encode_line(entry.payload) for entry in self._scan.entries])

    def _replace(self, lines: Iterable[bytes]) -> None:
        """Put a file of `lines` in the place of the file."""
        place = self.path.resolve()  # where a link leads
        aside = place.with_name(f".{place.name}.new")
        with aside.open("wb") as file:
            os.fchmod(file.fileno(), place.stat().st_mode & 0o777)
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(place)
        _sync_folder(place.parent)
        self._read_on()


def _lines(path: Path) -> list[bytes]:
    """The lines of a file; none where there is no file."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _write_whole(file: int, data: bytes, path: Path) -> None:
    """Append `data` and wait until it is on the disk, or leave the file as it was."""
    start = os.fstat(file).st_size
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(file, data[written:], start + written)
        os.fsync(file)
    except BaseException as error:  # Ctrl-C too
        os.ftruncate(file, start)
        if isinstance(error, OSError):
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
        raise


def _sync_folder(folder: Path) -> None:
    """Make sure that a new name in the folder outlives a power cut."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
