"""The same journal for many devices: `ROOT/<device>/tvm-<version>/<name>`; a folder can be copied from a board."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lascompile.errors import UsageError
from lascompile.journal.journal import Damage, Journal

_LONGEST_NAME = 60


def folder_name(device: str) -> str:
    """A device's name as the name of a folder: `Intel(R) Xeon(R) Processor` → `intel-r-xeon-r-processor`."""
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:_LONGEST_NAME].rstrip("-")
    return name or "unknown"


@dataclass(frozen=True)
class Merged:
    """What a merge brought: lines added, and lines that were there already."""

    added: int = 0
    present: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(self.added + other.added, self.present + other.present)


class JournalTree:
    """All journals of one name under `root`, which need not exist yet."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self._journals: dict[Path, Journal] = {}

    def journal(self, device: str, tvm: str) -> Journal:
        """The journal of a device and a version of TVM."""
        return self._journal(Path(folder_name(device)) / f"tvm-{tvm}")

    def journals(self) -> Iterator[Journal]:
        """Those that exist, in order of their paths."""
        for path in sorted(self.root.glob(f"*/tvm-*/{self.name}")):
            yield self._journal(path.parent.relative_to(self.root))

    def tvm_version(self, journal: Journal) -> str:
        """The version of TVM whose folder holds `journal`."""
        return journal.path.parent.name.removeprefix("tvm-")

    def damaged(self) -> list[Damage]:
        """The lines that cannot be read, of all journals."""
        return [damage for journal in self.journals() for damage in journal.damaged()]

    def quarantined(self) -> int:
        """How many damaged lines were moved out of the journals."""
        return sum(journal.quarantined() for journal in self.journals())

    def merge(self, source: Path) -> Merged:
        """Copy what the tree at `source` has and this one has not, as it stands; a second time adds nothing.

        Raises:
            UsageError: `source` is no folder, or holds no such journal.
            LascompileError, OSError: As for `Journal.append`.
        """
        if not source.is_dir():
            raise UsageError(f"{source} is no folder; give one that holds <device>/tvm-<version>/{self.name}")
        found = list(JournalTree(source, self.name).journals())
        if not found:
            raise UsageError(f"{source} holds no <device>/tvm-<version>/{self.name}, so there is nothing to merge")
        return sum((self._merge_journal(journal, source) for journal in found), Merged())

    def _merge_journal(self, journal: Journal, source: Path) -> Merged:
        payloads = {entry.payload: None for entry in journal.entries()}
        added = self._journal(journal.path.parent.relative_to(source)).append_missing(payloads) if payloads else 0
        return Merged(added, len(payloads) - added)

    def _journal(self, folder: Path) -> Journal:
        path = self.root / folder / self.name
        return self._journals.setdefault(path, Journal(path))
