"""Compare an artifact with onnxruntime: `verify` runs the cases, `VerifyReport` says what came out."""

from lascompile.verify.report import CaseResult, Tie, VerifyReport
from lascompile.verify.verification import VerifyConfig, verify

__all__ = ["CaseResult", "Tie", "VerifyConfig", "VerifyReport", "verify"]
