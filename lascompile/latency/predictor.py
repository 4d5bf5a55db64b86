"""Predict kernels on one device: the analytical model with its rates, the correction, and how sure both are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lascompile.latency.analytical import Rates, Terms, terms
from lascompile.latency.anchors import Anchored, Anchors
from lascompile.latency.calibration import calibrate
from lascompile.latency.correction import Correction, fit_correction, folds
from lascompile.latency.observations import KernelCall, Observation
from lascompile.machine import DataSheet, sheet_from_dict
from lascompile.schedules.work import Engine, Work

SCHEMA = 1
DATA_SHEET, CALIBRATED, CORRECTED = "data sheet", "calibrated", "corrected"

_UNMEASURED = (math.log(0.6), math.log(1.7))
"""The interval of a prediction from a data sheet alone: nine of ten kernels of Zen 4 that were measured lie in it."""

_INNER = (0.05, 0.95)
_FOLDS = 8


@dataclass(frozen=True)
class Prediction:
    """How long a kernel will take.

    Attributes:
        latency_s: The middle.
        low_s, high_s: Nine of ten such kernels lie between them.
        source: `data sheet`, `calibrated` (its rates fitted to the device) or `corrected`.
        extrapolates: True if nothing like it was measured there.
        terms: The parts, before the correction.
    """

    latency_s: float
    low_s: float
    high_s: float
    source: str
    extrapolates: bool
    terms: Terms


@dataclass(frozen=True)
class Predictor:
    """Predicts kernels of a CPU.

    Attributes:
        sheet: Its data sheet.
        threads: Cores that compute.
        rates: Of the analytical model.
        interval: Logarithms of the lowest and highest ratio of measured to predicted latency to expect.
        correction: What was learned of kernels alike; None where nothing was measured.
        anchors: What was learned of these very kernels.
    """

    sheet: DataSheet
    threads: int
    rates: Rates
    interval: tuple[float, float] = _UNMEASURED
    correction: Correction | None = None
    anchors: Anchors = Anchors()

    @staticmethod
    def from_data_sheet(sheet: DataSheet, threads: int | None = None) -> Predictor:
        """Without a single measurement."""
        used = sheet.engines if threads is None else threads
        return Predictor(sheet, used, Rates.of(sheet, used))

    @staticmethod
    def fit(observations: Sequence[Observation], sheet: DataSheet, threads: int) -> Predictor:
        """Fitted to kernels that were measured on the device, on as many threads.

        The interval is that of shapes which were held out.

        Raises:
            ValueError: There are none.
        """
        if not observations:
            raise ValueError("no measured kernels to fit to")
        fitted = fit_without_interval(observations, sheet, threads)
        held_out: list[float] = []
        for fold in folds([item.shape for item in observations], _FOLDS):
            if not fold.all():
                rest = [item for item, is_out in zip(observations, fold, strict=True) if not is_out]
                part = [item for item, is_out in zip(observations, fold, strict=True) if is_out]
                held_out += log_ratios(fit_without_interval(rest, sheet, threads), part).tolist()
        if not held_out:  # one shape alone says nothing of others
            return fitted
        low, high = np.quantile(held_out, _INNER)
        return replace(fitted, interval=(min(0.0, float(low)), max(0.0, float(high))))

    @property
    def engine(self) -> Engine:
        """What a kernel has to know of a core."""
        sheet = self.sheet
        return Engine(sheet.vector_lanes, sheet.vector_registers, sheet.engine_memory_bytes)

    def predict(self, calls: Sequence[KernelCall]) -> list[Prediction]:
        """How long each of `calls` will take."""
        works = [call.work(self.engine) for call in calls]
        if not works:
            return []
        parts = [terms(work, self.rates) for work in works]
        logs, trust = np.zeros(len(works)), np.zeros(len(works))
        if self.correction is not None:
            logs, trust = self.correction.logs(works), self.correction.trust(works)
        return [
            self._prediction(call, part, float(log), float(inside))
            for call, part, log, inside in zip(calls, parts, logs, trust, strict=True)
        ]

    def predict_light(self, work: Work) -> Prediction:
        """How long a kernel takes that is no convolution: from its rates alone, nothing was learned of such ones."""
        part = terms(work, self.rates)
        latency = part.latency_s
        low, high = (latency * math.exp(bound) for bound in _UNMEASURED)
        source = DATA_SHEET if self.correction is None else CALIBRATED
        return Prediction(latency, low, high, source, True, part)

    def _prediction(self, call: KernelCall, part: Terms, log: float, trust: float) -> Prediction:
        log += self.anchors.log_ratio(call.shape, call.kernel, call.count)
        latency = part.latency_s * math.exp(log)
        # What is not trusted is as unsure as on a device that was never measured.
        low, high = (
            trust * known + (1 - trust) * math.copysign(max(abs(known), abs(unknown)), unknown)
            for known, unknown in zip(self.interval, _UNMEASURED, strict=True)
        )
        source = DATA_SHEET if self.correction is None else CORRECTED if log else CALIBRATED
        return Prediction(latency, latency * math.exp(low), latency * math.exp(high), source, trust < 1, part)

    def to_dict(self) -> dict[str, Any]:
        """As a file holds it."""
        return {
            "schema": SCHEMA,
            "device": self.sheet.to_dict(),
            "threads": self.threads,
            "rates": asdict(self.rates),
            "interval": list(self.interval),
            "correction": None if self.correction is None else self.correction.to_dict(),
            "anchors": self.anchors.to_list(),
        }

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Predictor:
        """The inverse of `to_dict`.

        Raises:
            ValueError: It is no predictor, or one of another schema.
        """
        if stored.get("schema") != SCHEMA:
            raise ValueError(f"the predictor has schema {stored.get('schema')!r}, and this lascompile reads {SCHEMA}")
        try:
            correction, interval = stored["correction"], stored["interval"]
            return Predictor(
                sheet_from_dict("of the predictor", stored["device"]),
                int(stored["threads"]),
                Rates(**{name: _positive(name, rate) for name, rate in stored["rates"].items()}),
                (float(interval[0]), float(interval[1])),
                None if correction is None else Correction.from_dict(correction),
                Anchors.from_list(stored["anchors"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"no predictor: {error}") from None


def _positive(name: str, rate: Any) -> float:
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf:
        raise ValueError(f"no predictor: {name} is {rate!r}")
    return float(rate)


def fit_without_interval(observations: Sequence[Observation], sheet: DataSheet, threads: int) -> Predictor:
    """Rates, correction and anchors; the interval is that of a device that was not measured."""
    works, latencies = [item.work for item in observations], [item.latency_s for item in observations]
    rates = calibrate(works, latencies, Rates.of(sheet, threads))
    analytical = np.array([terms(work, rates).latency_s for work in works])
    logs = np.log(np.array(latencies) / analytical)
    correction = fit_correction(works, logs, [item.shape for item in observations])
    left = logs - correction.logs(works)
    rows = [
        Anchored(item.call.shape, item.call.kernel, float(np.log1p(item.call.count)), round(float(log), 5))
        for item, log in zip(observations, left, strict=True)
    ]
    return Predictor(sheet, threads, rates, correction=correction, anchors=Anchors(rows))


def log_ratios(predictor: Predictor, observations: Sequence[Observation]) -> np.ndarray:
    """Logarithms of measured over predicted latency."""
    predicted = predictor.predict([item.call for item in observations])
    return np.log([item.latency_s / found.latency_s for item, found in zip(observations, predicted, strict=True)])
