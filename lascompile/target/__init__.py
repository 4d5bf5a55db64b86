"""What an artifact is built for: a type for each kind of target, and how users spell them."""

from lascompile.target.base import Target
from lascompile.target.cpu_target import CpuTarget
from lascompile.target.cuda_target import CudaTarget
from lascompile.target.parsing import parse_target, parse_targets
from lascompile.target.runs_here import can_run_here, check_runs_here

__all__ = ["CpuTarget", "CudaTarget", "Target", "can_run_here", "check_runs_here", "parse_target", "parse_targets"]
