"""What devices can do: data sheets, one row a device, and the calibration of the one that this is."""

from lascompile.machine.devices import DEVICES, find_device
from lascompile.machine.sheet import DataSheet, TensorUnit, sheet_from_dict

__all__ = ["DEVICES", "DataSheet", "TensorUnit", "find_device", "sheet_from_dict"]
