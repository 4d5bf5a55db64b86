"""Whether this machine runs what is built for a target."""

from __future__ import annotations

from lascompile.cpu import cpu_supports, processor
from lascompile.errors import DeviceError
from lascompile.target.base import Target
from lascompile.target.cpu_target import CpuTarget


def can_run_here(target: Target) -> bool:
    """Whether this machine can run code for `target`; of a GPU nobody knows."""
    is_own = isinstance(target, CpuTarget) and target.host_triple.partition("-")[0] == processor()
    return is_own and not cpu_supports(target.features)


def check_runs_here(target: Target, who: str, instead: str) -> None:
    """Check that this machine can run what is built for `target`.

    Args:
        target: What is built for.
        who: Wants to run it, as the error names it.
        instead: What the user may do where it cannot run.

    Raises:
        DeviceError: It cannot.
    """
    built_for = target.host_triple.partition("-")[0]
    if built_for != processor():
        raise DeviceError(
            f"{who} runs what it builds, but this machine is {processor()} and the target {built_for}; {instead}"
        )
    missing = cpu_supports(target.features)
    if missing:
        raise DeviceError(
            f"{who} runs what it builds, but this CPU lacks {', '.join(missing)}, which {target.name} has; {instead}"
        )
