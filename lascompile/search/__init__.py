"""Choose granularities by predicted latency, before any training."""

from lascompile.search.granularity import Design, StageCurve, search, stage_curves

__all__ = ["Design", "StageCurve", "search", "stage_curves"]
