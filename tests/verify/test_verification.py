from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from lascompile.errors import UsageError
from lascompile.verify import VerifyConfig, verify
from lascompile.verify.compare import scale_of
from tests.masked_nets import FORMS, Network, masked_network
from tests.verify.fake_artifact import FakeArtifact


@pytest.fixture
def save(tmp_path):
    def save_model(proto: onnx.ModelProto, name: str = "m.onnx"):
        onnx.save(proto, tmp_path / name)
        return tmp_path / name

    return save_model


@pytest.fixture
def path(save):
    return save(masked_network(batch=2))


def failures(artifact, path, **config):
    return verify(artifact, path, VerifyConfig(threads=1, **config)).failures()


@pytest.mark.parametrize("form", FORMS)
def test_a_correct_artifact_passes(save, form):
    path = save(masked_network(form, batch=2))
    report = verify(FakeArtifact(path), path)
    assert report.failures() == []
    assert report.passed
    assert report.error is not None and report.error < 1e-5
    assert report.margin is not None and report.margin > 0
    assert report.notes == []
    kinds = {case.kind for case in report.cases}
    assert kinds == {"natural", "random", "constant", "nan", "forced", "file"}
    natural = next(case for case in report.cases if case.kind == "natural")
    assert 0.1 < natural.activation_rate < 0.9


def test_masks_are_forced_on_and_off(path):
    rates = {case.name: case.activation_rate for case in verify(FakeArtifact(path), path).cases}
    assert (rates["masks on"], rates["masks off"]) == (1.0, 0.0)
    assert 0.2 < rates["masks random"] < 0.8
    assert 0.2 < rates["masks coherent"] < 0.8


def test_one_wrong_pixel_is_caught_with_its_place(path):
    artifact = FakeArtifact(path)

    def spoil(outputs, inputs):
        outputs[0][1, 3, 5, 7] += 0.01 * np.ptp(outputs[0])

    artifact.spoil_outputs = spoil
    found = failures(artifact, path)
    expected = "natural-like 1: output 'b1.out' differs by 1.0e-02 of its range at [1, 3, 5, 7]"
    assert any(line.startswith(expected) for line in found)
    assert any(line.startswith("masks off") for line in found)


def test_an_error_within_the_tolerance_passes(path):
    artifact = FakeArtifact(path)

    def spoil(outputs, inputs):
        outputs[0][0, 0, 0, 0] += 5e-5 * (np.nanmax(outputs[0]) - np.nanmin(outputs[0]))

    artifact.spoil_outputs = spoil
    assert failures(artifact, path) == []
    assert failures(artifact, path, tolerance=1e-5) != []


def test_what_an_output_is_measured_by():
    """Its range; where that is rounding alone, a share of its size; of equal numbers their size."""
    assert scale_of(np.array([-1.0, 3.0])) == 4
    assert scale_of(np.array([128.0, 128.00001])) == pytest.approx(1)
    assert [scale_of(np.array(values)) for values in ([2.0, 2.0], [0.0], [])] == [2, 1, 1]


def test_an_output_of_another_shape_or_type_is_caught(path):
    artifact = FakeArtifact(path)

    def spoil(outputs, inputs):
        outputs[0] = outputs[0][:1].astype(np.float64)

    artifact.spoil_outputs = spoil
    expected = "output 'b1.out' is float64 [1, 8, 16, 16] instead of float32 [2, 8, 16, 16]"
    assert any(expected in line for line in failures(artifact, path))


def flip_first(masks, inputs):
    masks["m0"].reshape(-1)[3] ^= True


def test_a_decision_that_falls_the_other_way_is_a_failure(path):
    artifact = FakeArtifact(path)
    artifact.spoil_masks = flip_first
    found = failures(artifact, path)
    assert any("mask 'm0' decides otherwise in 1 of 32 places, with margins up to" in line for line in found)


def test_a_wrong_decision_is_a_tie_if_it_was_close(save):
    """A masker whose logits are equal on a constant image, but for rounding."""
    path = save(tied_network(difference=1e-7))
    artifact = FakeArtifact(path)
    artifact.spoil_masks = flip_first
    report = verify(artifact, path)
    assert report.failures() == []
    assert report.ties > 0
    tie = next(tie for case in report.cases for tie in case.ties)
    assert (tie.mask, tie.element) == ("m0", 3)
    assert tie.margin < report.tie_tolerance


def test_a_wrong_decision_is_a_failure_if_it_was_not_close(save):
    path = save(tied_network(difference=1e-3))
    artifact = FakeArtifact(path)
    artifact.spoil_masks = flip_first
    assert any("'m0' decides otherwise in 1 of" in line for line in failures(artifact, path))


def tied_network(difference: float) -> onnx.ModelProto:
    """One decision a pixel, which does not depend on the input but for rounding."""
    net = Network()
    f = net.conv("x", "stem", (3, 8), 3)
    shares = net.add("Sigmoid", ["x"], "shares")
    weight, bias = net.constant("w", np.zeros((1, 3, 1, 1))), net.constant("b", [1.0 + difference])
    logit = net.add("Conv", [shares, weight, bias], "logit")
    decision = net.add("GreaterOrEqual", [logit, net.constant("unit", 1.0)], "m0")
    gated = net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "gated")
    return net.model(net.add("Relu", [gated], "y"), [1, 8, 16, 16])


def test_without_a_margin_any_disagreement_is_a_failure(save):
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    decision = net.add("IsNaN", [net.conv("x", "logit", (3, 1), 1)], "m0")
    path = save(net.model(net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "y"), [1, 8, 16, 16]))
    artifact = FakeArtifact(path)
    report = verify(artifact, path)
    assert report.passed
    assert report.margin is None
    assert "how close the decisions of mask 'm0' are cannot be derived" in report.notes[0]
    artifact.spoil_masks = flip_first
    assert any("cannot be derived from the graph" in line for line in failures(artifact, path))


def test_nan_in_the_artifact_alone_is_caught(path):
    artifact = FakeArtifact(path)

    def spoil(outputs, inputs):
        outputs[0][0, 0, 0, 0] = np.nan

    artifact.spoil_outputs = spoil
    assert any("is NaN in 1 places where onnxruntime has numbers" in line for line in failures(artifact, path))


def test_a_nan_that_gets_lost_is_caught(path):
    artifact = FakeArtifact(path)

    def spoil(outputs, inputs):
        outputs[0][:] = np.nan_to_num(outputs[0])

    artifact.spoil_outputs = spoil
    found = failures(artifact, path)
    assert any(line.startswith("a NaN in every image: output 'b1.out' has numbers in") for line in found)
    assert not any(line.startswith("natural") for line in found)


def test_a_nan_that_reaches_another_image_is_caught(path):
    artifact = FakeArtifact(path)

    def spoil(outputs, inputs):
        if np.isnan(inputs[0][1]).any():
            outputs[0][0, 0, 0, 0] = np.nan

    artifact.spoil_outputs = spoil
    assert any(line.startswith("a NaN in one image: output 'b1.out' is NaN in 1 places") for line in
               failures(artifact, path))  # fmt: skip


@pytest.mark.parametrize("selects", [True, False])
@pytest.mark.parametrize("pool", [True, False])
def test_both_ways_to_skip_a_nan_pass(save, selects, pool):
    """A block that was compiled dense multiplies by the mask as onnxruntime does; the others skip."""
    path = save(masked_network(batch=2, granularity=2, pool=pool))
    assert failures(FakeArtifact(path, selects=selects), path) == []


def decide_nan_otherwise(masks, inputs):
    if np.isnan(inputs[0]).any():
        masks["m0"][:] ^= True


@pytest.mark.parametrize(("form", "is_open"), [("greater_or_equal", False), ("argmax", True), ("round", True)])
def test_how_a_nan_is_decided_matters_where_onnx_says_so(save, form, is_open):
    """Comparing with NaN is false; where it comes in an ArgMax, and what integer it is, are open."""
    path = save(masked_network(form))
    artifact = FakeArtifact(path)
    artifact.spoil_masks = decide_nan_otherwise
    found = failures(artifact, path)
    expected = "a NaN in every image: mask 'm0' decides otherwise in 16 of 16 places, with logits of NaN"
    assert any(line.startswith(expected) for line in found) != is_open


def test_a_number_at_a_skipped_pixel_must_be_the_right_one(save):
    """onnxruntime has NaN there, through 0 x infinity; what belongs there is what the mask means: zero."""
    net = Network()
    f = net.add("Div", [net.conv("x", "stem", (3, 8), 1), net.constant("nought", 0.0)], "f")  # ±inf
    decision = net.add("Greater", [net.conv("x", "logit", (3, 1), 1), net.constant("zero", 0.0)], "m0")
    gated = net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "gated")
    path = save(net.model(gated, [1, 8, 16, 16]))
    artifact = FakeArtifact(path)
    assert failures(artifact, path) == []

    def spoil(outputs, inputs):
        outputs[0][outputs[0] == 0] = 5.0

    artifact.spoil_outputs = spoil
    assert any(line.startswith("natural-like 1: output 'gated' differs") for line in failures(artifact, path))


def test_two_runs_that_differ_are_caught(path):
    artifact = FakeArtifact(path)
    runs = iter(range(100))

    def spoil(outputs, inputs):
        outputs[0][0, 0, 0, 0] += 1e-6 * next(runs)

    artifact.spoil_outputs = spoil
    assert any("two runs differ" in line for line in failures(artifact, path))


def test_a_network_without_masks(save):
    net = Network()
    path = save(net.model(net.conv("x", "stem", (3, 8), 3), [1, 8, 16, 16]))
    report = verify(FakeArtifact(path), path)
    assert report.passed
    assert report.margin is None
    assert {case.kind for case in report.cases} == {"natural", "random", "constant", "nan", "file"}


def test_another_file_is_refused(path, save):
    artifact = FakeArtifact(path)
    other = save(masked_network(seed=1), "other.onnx")
    with pytest.raises(UsageError, match=r"other.onnx is not the file that the artifact was built from \(m.onnx\)"):
        verify(artifact, other)
    with pytest.raises(UsageError, match="nowhere.onnx: no such file"):
        verify(artifact, path.with_name("nowhere.onnx"))


def test_the_report_is_json(path):
    report = json.loads(json.dumps(verify(FakeArtifact(path), path).to_json()))
    assert report["schema"] == 1
    assert report["passed"] is True
    assert report["cases"][0]["activation_rates"].keys() == {"m0", "m1"}
