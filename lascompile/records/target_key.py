"""What has to be equal for a measurement on one machine to say something about another."""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.cpu import FEATURES
from lascompile.target import CpuTarget, CudaTarget, Target
from lascompile.target.cpu_target import FEATURES_THAT_MATTER


@dataclass(frozen=True)
class TargetKey:
    """A target without what makes no difference to speed, such as the rest of its triple.

    Attributes:
        kind: `llvm` or `cuda`.
        arch: The processor family of the triple (`x86_64`, `aarch64`), or `sm_70` and the like.
        mcpu: LLVM's name of the CPU, by which it orders instructions; empty for `cuda`.
        features: Those of the target's that matter, sorted, and attributes that are no instruction set
            (`+prefer-256-bit`).
    """

    kind: str
    arch: str
    mcpu: str = ""
    features: tuple[str, ...] = ()

    @staticmethod
    def of(target: Target) -> TargetKey:
        """The key of `target`."""
        if isinstance(target, CudaTarget):
            return TargetKey(target.kind, target.arch)
        assert isinstance(target, CpuTarget)
        attributes = (attribute for attribute in target.mattr if attribute[1:] not in FEATURES)
        features = FEATURES_THAT_MATTER.intersection(target.features).union(attributes)
        return TargetKey(target.kind, target.mtriple.partition("-")[0], target.mcpu, tuple(sorted(features)))

    def target(self) -> Target:
        """A target that has this key, and nothing that the key leaves out: enough to tell which schedules there are."""
        if self.kind == CudaTarget.kind:
            return CudaTarget(self.arch)
        features = tuple(name for name in self.features if name in FEATURES)
        attributes = tuple(name for name in self.features if name not in FEATURES)
        return CpuTarget(self.mcpu, f"{self.arch}-linux-gnu", features, attributes)

    def __str__(self) -> str:
        return f"{self.kind} {self.mcpu or self.arch}"
