"""The exceptions a user of lascompile can meet.

```
LascompileError            1  anything below, caught in one place
├── UsageError             2  arguments, an unknown target, missing files, an input of the wrong shape or dtype
├── UnsupportedModelError  3  the ONNX model cannot be compiled, and why
├── ToolchainError         4  a package or linker that is missing or of the wrong version
├── DeviceError            5  a target that is not supported yet, a CPU or GPU that lacks what the artifact needs
└── ArtifactError          6  an artifact that is damaged or of another version
```

The number is the exit code of the command line. A message is one line that says what is wrong, the value that
was got, what is allowed, and what to do.
"""

from __future__ import annotations


class LascompileError(Exception):
    """Base of every error that lascompile raises on purpose."""

    exit_code = 1


class UsageError(LascompileError):
    """Arguments, files or input arrays that do not fit."""

    exit_code = 2


class UnsupportedModelError(LascompileError):
    """An ONNX model that cannot be compiled."""

    exit_code = 3


class ToolchainError(LascompileError):
    """A package or tool that is missing or of a version known to fail."""

    exit_code = 4


class DeviceError(LascompileError):
    """A target that is not supported yet, or a device that lacks a required feature."""

    exit_code = 5


class ArtifactError(LascompileError):
    """An artifact that is damaged or was built by another version."""

    exit_code = 6
