"""A program whose convolutions are still open: between what has to be computed and by which algorithms it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from lascompile.lower.kernels import ScheduledKernel
from lascompile.lower.program import Buffer, Step
from lascompile.sites.site import Site


class OpenStep(Protocol):
    """A convolution whose kernel is to be chosen."""

    @property
    def site(self) -> Site:
        """Its forms."""
        ...

    def close(self, kernel: ScheduledKernel) -> Step:
        """The step that computes it by `kernel`."""
        ...


@dataclass
class Draft:
    """The steps in order, and what goes in and comes out.

    Attributes:
        inputs, outputs, decisions: As of a program.
        steps: The steps so far, those of convolutions open.
        makers: By buffer that owns memory, the step that makes the list or table in it; where in the program it runs
            depends on who reads it first.
    """

    inputs: list[Buffer]
    outputs: list[Buffer] = field(default_factory=list)
    decisions: dict[str, Buffer] = field(default_factory=dict)
    steps: list[Step | OpenStep] = field(default_factory=list)
    makers: dict[Buffer, Step] = field(default_factory=dict)

    @property
    def sites(self) -> list[Site]:
        """The convolutions, in the order in which they run."""
        return [step.site for step in self.steps if not isinstance(step, Step)]
