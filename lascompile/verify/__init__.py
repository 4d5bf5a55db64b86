"""Compare an artifact with onnxruntime: `verify` runs the cases, `VerifyReport` says what came out."""

from lascompile.verify.report import CaseResult, Tie, VerifyReport
from lascompile.verify.verify import verify

__all__ = ["CaseResult", "Tie", "VerifyReport", "verify"]
