"""Run artifacts for aarch64 on this machine, in QEMU, by the ordinary runtime."""

from __future__ import annotations

import pickle
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from lascompile.manifest import Manifest
from lascompile.runtime.profile import Profile
from tests.aarch64.machine import Machine, prepare

WORKER = Path(__file__).with_name("worker.py")

EMULATED_CPUS = {
    "cortex-a57": "cortex-a57",
    "cortex-a72": "cortex-a72",
    "cortex-a76": "cortex-a76",
    # QEMU 7 knows neither. The first lacks two sets that this one has; for LLVM the other has the same as this one.
    "carmel": "cortex-a76",
    "cortex-a78ae": "cortex-a76",
}
"""QEMU's CPU for LLVM's: an instruction that QEMU's lacks ends the run. Others run on `max`, which has all."""


def run_emulated(
    path: Path, inputs: Sequence[np.ndarray], masks: Mapping[str, np.ndarray] | None = None
) -> list[np.ndarray]:
    """The outputs of the artifact folder `path`, under the decisions `masks` if they are given.

    Starting takes a second or two each time; for more than one call, use `EmulatedArtifact`.

    Raises:
        LascompileError: What the runtime says of artifact, inputs or masks.
        EmulationError: The emulated process ended before it answered.
        Unavailable: The emulator cannot be fetched.
    """
    with EmulatedArtifact(path) as artifact:
        return artifact.run(*inputs) if masks is None else artifact.run_forced(*inputs, masks=masks)


class EmulationError(Exception):
    """The emulated process ended: a signal, or an instruction that its CPU lacks."""


class EmulatedArtifact:
    """An artifact in a process under emulation, with the methods of `lascompile.runtime.artifact.Artifact`."""

    def __init__(self, path: Path, cpu: str | None = None, threads: int = 2) -> None:
        """Load `path`; `cpu` is QEMU's name of one, by default that for which the artifact was built."""
        self.manifest = Manifest.read(path)
        built_for = self.manifest.target["mcpu"]
        machine = _machine()
        command = machine.command(cpu or EMULATED_CPUS.get(built_for, "max"), str(WORKER), str(path), str(threads))
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command,
            env=machine.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """As `Artifact.run`."""
        outputs: list[np.ndarray] = self._call("run", *inputs)
        return outputs

    def run_with_masks(self, *inputs: np.ndarray) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
        """As `Artifact.run_with_masks`."""
        outputs, masks = self._call("run_with_masks", *inputs)
        return outputs, masks

    def run_forced(self, *inputs: np.ndarray, masks: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """As `Artifact.run_forced`."""
        outputs: list[np.ndarray] = self._call("run_forced", *inputs, masks=dict(masks))
        return outputs

    def profile(self, *inputs: np.ndarray, repeats: int = 10) -> Profile:
        """As `Artifact.profile`; the times are those of the emulation, and say nothing about a CPU."""
        profile: Profile = self._call("profile", *inputs, repeats=repeats)
        return profile

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> EmulatedArtifact:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        requests = self._process.stdin
        assert requests is not None
        try:
            pickle.dump((method, args, kwargs), requests)
            requests.flush()
        except BrokenPipeError:
            pass  # the answer is missing as well, and says why
        return self._answer()

    def _answer(self) -> Any:
        """What the worker returns; what it raises is raised here."""
        answers = self._process.stdout
        assert answers is not None
        try:
            result, error = pickle.load(answers)
        except EOFError:
            raise EmulationError(self._last_words()) from None
        if error is not None:
            raise error
        return result

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        words = self._errors.read().decode(errors="replace").strip().splitlines()[-3:]
        return f"the emulated process ended with {code}: {' '.join(words) or 'no message'}"


@lru_cache(maxsize=1)
def _machine() -> Machine:
    return prepare()
