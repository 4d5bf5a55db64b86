"""What all kinds of targets have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import tvm


class Target(ABC):
    """A device that code is made for. Made by `parse_target`; equal targets run each other's code.

    Attributes:
        kind: By which backends are found: `llvm`, `cuda`.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """The device, in messages."""

    @property
    @abstractmethod
    def features(self) -> tuple[str, ...]:
        """What code may use and a device may lack, by name, sorted: one that lacks it cannot run the code."""

    @property
    @abstractmethod
    def host_triple(self) -> str:
        """Processor family and system of the CPU that runs an artifact's own code."""

    @abstractmethod
    def to_tvm(self) -> tvm.target.Target:
        """The same as TVM's target."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What a manifest records."""

    def needed(self, used: Collection[str]) -> Target:
        """The target that code asks for whose kernels need the features `used`."""
        return self

    def has(self, feature: str) -> bool:
        """Whether code may use `feature`."""
        return feature in self.features
