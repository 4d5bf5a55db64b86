"""What a build needs from the machine: packages that fit each other (`versions`), a linker (`linker`)."""

from lascompile.toolchain.linker import Linker, find_linker, link_function
from lascompile.toolchain.versions import (
    PACKAGES,
    REQUIREMENTS,
    Package,
    Requirement,
    check_versions,
    installed,
    missing_package,
)

__all__ = [
    "PACKAGES",
    "REQUIREMENTS",
    "Linker",
    "Package",
    "Requirement",
    "check_versions",
    "find_linker",
    "installed",
    "link_function",
    "missing_package",
]
