from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from lascompile.bench import BASELINES, BenchConfig, bench
from lascompile.bench import measure as measurement
from lascompile.bench.baselines import Baseline, open_onnxruntime
from lascompile.bench.timing import Times
from lascompile.errors import UnsupportedModelError, UsageError
from lascompile.sample_inputs import natural_inputs
from tests.masked_nets import masked_network
from tests.verify.fake_artifact import FakeArtifact

QUICK = BenchConfig(("onnxruntime",), repeats=5)
NOBODY = BenchConfig((), repeats=5)


@pytest.fixture
def path(tmp_path):
    onnx.save(masked_network(head=True), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.fixture
def artifact(path):
    return FakeArtifact(path)


@pytest.fixture
def baseline(monkeypatch):
    """Adds a baseline."""

    def add(name, opener):
        monkeypatch.setitem(BASELINES, name, Baseline(name, opener))

    return add


def test_a_row_for_each_runtime_and_network(artifact, path):
    report = bench(artifact, path, QUICK)
    assert [row.name for row in report.rows] == ["lascompile", "onnxruntime, static", "onnxruntime, dynamic"]
    assert all(row.latency.runs == 5 and row.latency.min_s > 0 for row in report.rows)
    assert report.rows[0].ratio is None
    assert all(row.ratio.q1 <= row.ratio.median <= row.ratio.q3 for row in report.rows[1:])
    assert report.fastest_static == "onnxruntime"
    assert report.ratio == report.rows[1].ratio
    assert report.machine["threads"] == artifact.threads


def test_other_artifacts_are_timed_too(artifact, path):
    report = bench(artifact, path, QUICK, against={"untuned.lasc": FakeArtifact(path)})
    assert [row.name for row in report.rows][:3] == ["lascompile", "untuned.lasc", "onnxruntime, static"]
    assert [row.runtime for row in report.others] == ["untuned.lasc"]
    assert report.others[0].ratio.median > 0
    assert report.fastest_static == "onnxruntime"


def test_other_artifacts_are_of_the_same_file(artifact, path, tmp_path):
    onnx.save(masked_network(head=False), tmp_path / "other.onnx")
    with pytest.raises(UsageError, match=r"^other\.lasc: .*m\.onnx is not the file"):
        bench(artifact, path, QUICK, against={"other.lasc": FakeArtifact(tmp_path / "other.onnx")})


def test_another_artifact_that_computes_something_else_does_not_take_part(artifact, path):
    def spoil(outputs, inputs):
        outputs[0] *= 1.01

    wrong = FakeArtifact(path)
    wrong.spoil_outputs = spoil
    [row] = bench(artifact, path, NOBODY, against={"wrong.lasc": wrong}).others
    assert row.latency is None and row.note.startswith("computes something else: outputs differ by")


def test_decisions_that_fall_the_other_way_are_noted(artifact, path):
    """Its outputs differ as well, but not under the same decisions."""

    def flip(masks, inputs):
        next(iter(masks.values())).flat[:2] ^= True

    close = FakeArtifact(path)
    close.spoil_masks = flip
    [row] = bench(artifact, path, NOBODY, against={"close.lasc": close}).others
    total = sum(mask.size for mask in artifact.run_with_masks(*natural_inputs(artifact.manifest.inputs, 0))[1].values())
    assert row.latency is not None
    words = row.note.split(" ", 1)
    assert int(words[0]) >= 2 and words[1] == f"of {total} mask decisions are not those of the artifact"


def test_ratios_are_taken_round_by_round():
    """A machine that halves its clock in one of three rounds changes no ratio."""
    clock = np.array([1.0, 2.0, 1.0])[:, None]
    ratio = measurement._ratio(3.0 * clock + np.zeros((3, 5)), 4.0 * clock + np.zeros((3, 5)))
    assert (ratio.q1, ratio.median, ratio.q3) == (0.75, 0.75, 0.75)


def test_repeats_are_rounded_up_to_blocks(artifact, path):
    report = bench(artifact, path, BenchConfig(("onnxruntime",), repeats=6))
    assert report.artifact.runs == 10


def test_activation_rates_are_those_of_the_inputs(artifact, path):
    inputs = [np.random.default_rng(3).standard_normal((1, 3, 16, 16)).astype(np.float32)]
    report = bench(artifact, path, QUICK, inputs=inputs, source="noise")
    _, masks = artifact.run_with_masks(*inputs)
    assert report.activation_rates == {name: mask.mean() for name, mask in masks.items()}
    assert report.activation_rate == np.mean([mask.mean() for mask in masks.values()])
    assert report.source == "noise"


def test_a_runtime_that_is_missing_gets_a_row_that_says_how_to_install_it(artifact, path, baseline):
    def opener(model, inputs, threads):
        raise ModuleNotFoundError("No module named 'openvino'", name="openvino")

    baseline("openvino", opener)
    report = bench(artifact, path, BenchConfig(("openvino", "onnxruntime"), repeats=5))
    missing = [row for row in report.rows if row.runtime == "openvino"]
    assert len(missing) == 2
    assert all(row.latency is None and "pip install 'openvino" in row.note for row in missing)
    assert report.fastest_static == "onnxruntime"


def test_a_runtime_that_cannot_run_the_model_says_why(artifact, path, baseline):
    def opener(model, inputs, threads):
        raise UnsupportedModelError("no Foo")

    baseline("narrow", opener)
    report = bench(artifact, path, BenchConfig(("narrow",), repeats=5))
    assert [row.note for row in report.rows] == ["", "no Foo", "no Foo"]
    assert (report.fastest_static, report.ratio) == (None, None)


def test_a_runtime_that_computes_something_else_does_not_take_part(artifact, path, baseline):
    def opener(model, inputs, threads):
        call = open_onnxruntime(model, inputs, threads)
        return lambda: [output * 1.01 for output in call()]

    baseline("wrong", opener)
    report = bench(artifact, path, BenchConfig(("onnxruntime", "wrong"), repeats=5))
    row = next(row for row in report.rows if row.name == "wrong, static")
    assert row.latency is None
    assert row.note.startswith("computes something else: outputs differ by")


def test_unsteady_times_are_warned_of(artifact, path, monkeypatch):
    calls = np.ones((3, 1, 5))
    calls[1, 0, 0] = 2.0
    monkeypatch.setattr(measurement, "race", lambda *_: [Times(found, 1 / found.mean(axis=1)) for found in calls])
    monkeypatch.setattr(measurement, "load_average", lambda: 3.0)
    report = bench(artifact, path, QUICK)
    assert "run times vary by more than 2.5% (onnxruntime, static 33.3%)" in report.warnings[0]
    assert report.warnings[1] == "the machine was busy before: load average 3.0 over the last minute"
    calls[...] = 1.0
    monkeypatch.setattr(measurement, "load_average", lambda: 0.1)
    assert bench(artifact, path, QUICK).warnings == []


def test_the_report_is_json(artifact, path):
    report = json.loads(json.dumps(bench(artifact, path, QUICK).to_json()))
    assert report["schema"] == 1
    assert report["ratio"] == report["rows"][1]["ratio"]
    assert report["machine"]["versions"]["onnxruntime"]


def test_an_input_that_does_not_fit_is_refused_in_the_words_of_the_artifact(artifact, path, monkeypatch):
    def refuse(*inputs):
        raise UsageError("input 'x' is 1x3x8x8")

    monkeypatch.setattr(artifact, "run_with_masks", refuse)
    with pytest.raises(UsageError, match="input 'x' is 1x3x8x8"):
        bench(artifact, path, QUICK, inputs=[np.zeros((1, 3, 8, 8), np.float32)])


def test_bad_settings():
    with pytest.raises(UsageError, match="unknown baseline 'tensorrt': there are onnxruntime, openvino, torch"):
        BenchConfig(("tensorrt",))
    for settings, message in (
        ({"repeats": 0}, "repeats 0: must be at least 1"),
        ({"duration_s": 0.0}, "duration 0: must be a positive number of seconds"),
        ({"duration_s": float("nan")}, "duration nan: must be a positive"),
        ({"duration_s": float("inf")}, "duration inf: must be a positive"),
        ({"warm_up": -1}, "warmup -1: must not be negative"),
        ({"clients": 0}, "clients 0: must be from 1 to 1024"),
        ({"clients": 5000}, "clients 5000: must be from 1 to 1024"),
    ):
        with pytest.raises(UsageError, match=message):
            BenchConfig(**settings)


def test_without_the_file_artifacts_alone_are_timed(artifact, path):
    report = bench(artifact, None, NOBODY, against={"untuned.lasc": FakeArtifact(path)})
    assert [row.name for row in report.rows] == ["lascompile", "untuned.lasc"]
    assert report.activation_rates == bench(artifact, path, NOBODY).activation_rates
    assert report.ratio is None


def test_throughput_of_several_clients(artifact, path):
    report = bench(artifact, path, BenchConfig(("onnxruntime", "openvino"), repeats=5, clients=3))
    assert report.clients == 3 and not any("vary" in warning for warning in report.warnings)
    for row in report.rows:
        assert row.latency.runs == 15
        assert 0 < row.throughput_per_s <= 3 / row.latency.min_s


def test_one_client_does_what_its_latency_allows(artifact, path):
    (row,) = bench(artifact, None, NOBODY).rows
    assert row.throughput_per_s == pytest.approx(1 / row.latency.mean_s)
