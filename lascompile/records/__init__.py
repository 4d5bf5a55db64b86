"""Records of tuning: which schedule of which kernel took how long on which device.

A `Record` is one trial; a `RecordStore` keeps records in journals and finds the best one for a `Task`.
docs/records.md has the format, and how a task and a record match.
"""

from lascompile.journal import Unreadable
from lascompile.records.folders import open_store, shipped_folder, user_folder
from lascompile.records.matching import Known, Match, Stored
from lascompile.records.measured import WRONG, Failure, Latency, Versions, timestamp
from lascompile.records.record import SCHEMA, Record, Task
from lascompile.records.store import RecordStore
from lascompile.records.target_key import TargetKey

__all__ = [
    "SCHEMA",
    "WRONG",
    "Failure",
    "Known",
    "Latency",
    "Match",
    "Record",
    "RecordStore",
    "Stored",
    "TargetKey",
    "Task",
    "Unreadable",
    "Versions",
    "open_store",
    "shipped_folder",
    "timestamp",
    "user_folder",
]
