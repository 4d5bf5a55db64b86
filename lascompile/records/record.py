"""A record: one trial of one kernel, and what came out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lascompile.journal import to_payload
from lascompile.records.fields import from_stored, to_fields
from lascompile.records.measured import Failure, Latency, Versions, timestamp
from lascompile.records.target_key import TargetKey
from lascompile.workload import Workload

SCHEMA = 1
"""Of a record. A new field that older versions may overlook leaves it as it is; anything else raises it."""


@dataclass(frozen=True)
class Task:
    """What is tuned: a kernel, for a target, on a device, under a load.

    Attributes:
        workload: The kernel.
        target: What its code is made for.
        threads: Threads that run it.
        device: The name of the CPU, GPU or board; empty where it is not known.
        activation_rate: Share of the rows that are active; 1.0 for a kernel that is not dynamic.
        batch: Images at a time; the workload's rows are those of all of them.

    Raises:
        ValueError: A number is out of range.
    """

    workload: Workload
    target: TargetKey
    threads: int
    device: str = ""
    activation_rate: float = 1.0
    batch: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.activation_rate <= 1:
            raise ValueError(f"activation_rate is {self.activation_rate}, allowed is 0 to 1")
        for name in ("threads", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, at least 1 is needed")


@dataclass(frozen=True)
class Record:
    """One trial. It has a latency or a failure, never both.

    Attributes:
        task: What was tuned.
        algorithm: The algorithm's name.
        definition: Fingerprint of the kernel's definition by that algorithm; see `lascompile.plan.known`.
        decisions: The fields of the schedule's decisions.
        versions: With what it was built.
        latency: How long it took.
        failure: Why there is no latency.
        when: UTC, see `timestamp`.
        seed: Of the search.
        trial: Its number in the search.
        trace: MetaSchedule's trace as JSON types, if the search had one.
    """

    task: Task
    algorithm: str
    definition: str
    decisions: Mapping[str, Any]
    versions: Versions
    latency: Latency | None = None
    failure: Failure | None = None
    when: str = field(default_factory=timestamp)
    seed: int | None = None
    trial: int | None = None
    trace: Any = None

    def __post_init__(self) -> None:
        if (self.latency is None) == (self.failure is None):
            raise ValueError("a record has either a latency or a failure")

    @property
    def identity(self) -> str:
        """Twelve digits that name this record and no other."""
        return hashlib.sha256(to_payload(self.to_json())).hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """As it is stored.

        Raises:
            TypeError: A decision is no value of JSON's; NumPy's numbers are none.
        """
        return {"schema": SCHEMA, **to_fields(self)}

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> Record:
        """The record that `to_json` stored; fields that it does not know are left out, except in the workload.

        Raises:
            ValueError: It is of a newer schema, of a kind of workload that this version does not know, or no record.
        """
        record: Record = from_stored(Record, stored, SCHEMA)
        return record
