"""The one place that imports onnxruntime, with its telemetry off.

Since 1.29 its Linux packages write a device id and a database into the user's cache folder when they are imported, and
send events. `ORT_DISABLE_TELEMETRY`, set before, leaves all of that out (microsoft/onnxruntime pull request 27379).
Whoever has set the variable, to whatever, has decided.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

_NOTHING_BUT_THE_FATAL = 4

# Remarks on this machine, as on GPUs that it has not got, would stand among the output; what fails raises.
onnxruntime.set_default_logger_severity(_NOTHING_BUT_THE_FATAL)

__all__ = ["onnxruntime"]
