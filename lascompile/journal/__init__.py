"""Logs that survive: a JSON object a line, checksummed, written under a lock, synced, and repaired where damaged.

`Journal` is one file, `JournalTree` the same file for many devices and versions of TVM, `Collection` what their lines
mean. Records of tuning and the latency table are kept in them.
"""

from lascompile.journal.collection import Collection, Item, Unreadable
from lascompile.journal.journal import Damage, Entry, Journal
from lascompile.journal.line import to_payload
from lascompile.journal.tree import JournalTree, Merged, folder_name

__all__ = [
    "Collection",
    "Damage",
    "Entry",
    "Item",
    "Journal",
    "JournalTree",
    "Merged",
    "Unreadable",
    "folder_name",
    "to_payload",
]
