"""What came of running an artifact once, for a person and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lascompile.manifest import Manifest
from lascompile.report.activation_rates import activation_rates
from lascompile.report.block_times import TimeReport
from lascompile.report.output_summary import Classes, summary_json, summary_lines

SCHEMA = 1


@dataclass(frozen=True)
class RunReport:
    """One run.

    Attributes:
        artifact: The folder.
        manifest: Its manifest.
        source: Where the inputs come from, in words.
        threads: Threads that it ran on.
        outputs: In the manifest's order.
        pixels: By mask name, the pixels that each group switched on, bool [N, G, H, W].
        times: Where the time went, if that was asked for.
        output_file: Where the outputs were written, if they were.
        pictures: Of the masks, if they were drawn.
        classes: How many classes are told, and by which names.
    """

    artifact: Path
    manifest: Manifest
    source: str
    threads: int
    outputs: Sequence[np.ndarray]
    pixels: Mapping[str, np.ndarray]
    times: TimeReport | None = None
    output_file: Path | None = None
    pictures: Sequence[Path] = field(default_factory=list)
    classes: Classes = field(default_factory=Classes)

    def lines(self) -> list[str]:
        """All but the times, which are tables."""
        said = [f"{self.artifact} on {self.source}, {self.threads} threads"]
        for spec, output in zip(self.manifest.outputs, self.outputs, strict=True):
            said += summary_lines(spec, output, self.classes)
        rates = [rate for mask in self._rates() for rate in mask]
        if rates:
            said.append(
                f"{len(self.manifest.masks)} masks, activation rate {np.mean(rates):.2f} "
                f"(from {min(rates):.2f} to {max(rates):.2f})"
            )
        else:
            said.append("no masks: every block is computed everywhere; lascompile inspect says why")
        if self.output_file is not None:
            said.append(f"outputs written to {self.output_file}")
        if self.pictures:
            last = self.pictures[-1]
            said.append(f"{len(self.pictures)} pictures written to {last.parent}; {last.name} shows all masks")
        return said

    def to_json(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        named = zip(self.manifest.outputs, self.outputs, strict=True)
        return {
            "schema": SCHEMA,
            "artifact": str(self.artifact),
            "input": self.source,
            "threads": self.threads,
            "images": list(self.classes.images),
            "outputs": [summary_json(spec, output, self.classes) for spec, output in named],
            "output_file": self.output_file and str(self.output_file),
            "masks": [
                {"name": mask.name, "block": mask.block, "granularity": mask.granularity, "activation_rates": rates}
                for mask, rates in zip(self.manifest.masks, self._rates(), strict=True)
            ],
            "pictures": [str(path) for path in self.pictures],
            "profile": self.times and self.times.to_json(),
        }

    def _rates(self) -> list[list[float]]:
        """Of each mask, the rate in each image."""
        return [activation_rates(self.pixels[mask.name]) for mask in self.manifest.masks]
