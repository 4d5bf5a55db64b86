"""What a kernel does to its result before the store."""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.workload.base import Activation


@dataclass(frozen=True)
class Epilogue:
    """What happens to a result before it is stored: before → gate → add → after.

    Attributes:
        before: Activations of the result itself.
        gate_groups: If not 0, the result is kept where its channel's mask group is on, and zero elsewhere.
        otherwise: True if the residual row is kept instead of zero where the gate is shut.
        add: True if a residual row is added.
        after: Activations of the sum.
    """

    before: tuple[Activation, ...] = ()
    gate_groups: int = 0
    otherwise: bool = False
    add: bool = False
    after: tuple[Activation, ...] = ()

    @property
    def takes_residual(self) -> bool:
        """True if a residual row is read."""
        return self.add or self.otherwise

    def arguments(self, *, uses_list: bool = False, in_place: bool, counted: bool) -> tuple[str, ...]:
        """The last buffers of a kernel, in order; the output is last. A residual in place is the output.

        Args:
            uses_list: Whether the kernel takes the list of active rows.
            in_place: Whether the residual is the output's own buffer.
            counted: Whether the kernel takes a count.
        """
        chosen = {
            "group_active": self.gate_groups > 0,
            "channel_group": self.gate_groups > 0,
            "list": uses_list,
            "residual": self.takes_residual and not in_place,
            "count": counted,
            "output": True,
        }
        return tuple(name for name, taken in chosen.items() if taken)
