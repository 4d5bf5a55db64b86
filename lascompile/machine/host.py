"""The data sheet of the CPU that this is: that of the nearest one which is known, with as many cores."""

from __future__ import annotations

from dataclasses import replace

from lascompile.cpu import cpu_family, cpu_model, host_features, physical_cores, processor
from lascompile.machine.devices import DEVICES
from lascompile.machine.sheet import DataSheet

_ZEN = {25: "zen4", 26: "zen5"}
"""By the family that AMD's CPUs with AVX-512 tell."""

HOST = "host"
"""What users call it."""


def host_sheet() -> DataSheet:
    """The sheet of this machine; its name is that of the row which it is taken from."""
    sheet = DEVICES[_nearest()]
    return replace(sheet, engines=physical_cores())


def _nearest() -> str:
    if processor() == "aarch64":
        return "raspberry-pi4"
    features = host_features() or frozenset()
    if "amx-bf16" in features:
        return "emerald-rapids"
    if "avx512f" in features:
        return _ZEN.get(cpu_family(), "zen4") if "AMD" in cpu_model() else "generic-avx512"
    return "generic-avx2"
