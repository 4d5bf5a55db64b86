"""Outputs of an artifact: the same every time, wherever it lies and whatever threads it runs on."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from lascompile.compile import build_artifact
from lascompile.errors import UsageError
from lascompile.runtime.artifact import Artifact, load
from tests.masked_nets import Network


def images(count):
    return np.random.default_rng(0).standard_normal((count, 2, 3, 8, 8)).astype(np.float32)


def test_it_computes_what_onnxruntime_does(artifact, built, image):
    session = onnxruntime.InferenceSession(built.with_suffix(".onnx"), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": image})
    assert np.abs(artifact(image) - expected).max() <= 1e-4 * np.ptp(expected)


def test_it_says_what_it_is(artifact, built):
    cpu = artifact.manifest.target["mcpu"]
    assert repr(artifact) == (
        f"<Artifact of m.onnx for {artifact.manifest.target['mtriple']} -mcpu={cpu}, 1 thread, 2 of 2 blocks dynamic>"
    )
    assert ", 2 threads, " in repr(load(built, 2))


def test_the_same_input_gives_the_same_bits(artifact, built):
    first, second = images(2)
    expected = artifact(first)
    assert not np.array_equal(artifact(second), expected)
    assert np.array_equal(artifact(first), expected)
    assert np.array_equal(load(built, 1)(first), expected)
    assert np.array_equal(load(built, 2)(first), expected)


def test_so_does_a_copy_elsewhere(artifact, built, image, tmp_path, monkeypatch):
    shutil.copytree(built, tmp_path / "a b" / "cópia")
    monkeypatch.chdir(tmp_path / "a b")
    assert np.array_equal(load("cópia", 1)(image), artifact(image))


def test_two_threads_call_at_once(artifact):
    inputs = images(2)
    expected = [artifact(x) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda turn: artifact(inputs[turn % 2]), range(40)))
    assert all(np.array_equal(result, expected[turn % 2]) for turn, result in enumerate(results))


def test_as_many_calls_at_once_as_threads(built, image, monkeypatch):
    """Each in a workspace of its own; another one waits."""
    inside, seen = [], []

    def slow(self, context, function, inputs):
        inside.append(context)
        time.sleep(0.005)
        seen.append(len(inside))
        assert len(set(inside)) == len(inside)
        outputs = real(self, context, function, inputs)
        inside.remove(context)
        return outputs

    real = Artifact._call
    monkeypatch.setattr(Artifact, "_call", slow)
    for threads in (1, 2):
        artifact, seen[:] = load(built, threads), []
        calls = (artifact.run, artifact.run_with_masks, lambda x, artifact=artifact: artifact.profile(x, repeats=1))
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(call, image) for call in calls * 4]:
                done.result()
        assert len(seen) == 16 and max(seen) == threads


def test_many_threads_call_many_ways(built):
    inputs = images(4)
    artifact = load(built, 3)
    expected = [artifact.run_with_masks(x) for x in inputs]

    def call(turn):
        outputs, masks = expected[turn % 4]
        if turn % 3:
            (forced,) = artifact.run_forced(inputs[turn % 4], masks=masks)
            return np.array_equal(forced, outputs[0])
        found, taken = artifact.run_with_masks(inputs[turn % 4])
        return np.array_equal(found[0], outputs[0]) and all(np.array_equal(taken[name], masks[name]) for name in masks)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(400)))


def test_artifacts_of_different_threads_in_turn(built, image):
    one, two = load(built, 1), load(built, 2)
    expected = one(image)
    for _ in range(5):
        assert np.array_equal(two(image), expected)
        assert np.array_equal(one(image), expected)


def test_masks_taken_can_be_imposed(artifact, image):
    outputs, masks = artifact.run_with_masks(image)
    assert {name: (mask.dtype.name, mask.shape) for name, mask in masks.items()} == dict.fromkeys(
        ("m0", "m1"), ("bool", (2, 1, 4, 4))
    )
    assert any(mask.any() and not mask.all() for mask in masks.values())
    (forced,) = artifact.run_forced(image, masks=masks)
    assert np.array_equal(forced, outputs[0])


def test_masks_imposed_are_obeyed_and_forgotten(artifact, image):
    (expected,) = artifact.run(image)
    shapes = {mask.name: mask.shape for mask in artifact.manifest.masks}
    (off,) = artifact.run_forced(image, masks={name: np.zeros(shape, bool) for name, shape in shapes.items()})
    (on,) = artifact.run_forced(image, masks={name: np.ones(shape, bool) for name, shape in shapes.items()})
    assert not np.array_equal(off, on)
    assert np.array_equal(artifact.run(image)[0], expected)


@pytest.mark.parametrize("threads", [0, -3])
def test_threads_must_be_positive(built, threads):
    with pytest.raises(UsageError, match=rf"^threads is {threads}, but at least 1 is needed$"):
        load(built, threads)


def test_more_threads_than_cpus_do_no_harm(built, artifact, image):
    assert np.array_equal(load(built, 1000)(image), artifact(image))


MASK = np.zeros((2, 1, 4, 4), bool)


@pytest.mark.parametrize(
    ("masks", "says"),
    [
        ({"m0": MASK}, r"masks must name every decision: missing \['m1'\], unknown \[\]"),
        ({"m0": MASK, "m1": MASK + np.nan}, r"mask 'm1' holds .*nan.*, but a decision is 0 or 1"),
        ({"m0": MASK + 7, "m1": MASK}, r"mask 'm0' holds .*, but a decision is 0 or 1"),
        ({"m0": np.full(MASK.shape, "on"), "m1": MASK}, r"mask 'm0' holds .*on.*, but a decision is 0 or 1"),
        ({"m0": MASK, "m1": MASK, "z": MASK}, r"masks must name every decision: missing \[\], unknown \['z'\]"),
        ({"m0": MASK, "m1": MASK[:1]}, "mask 'm1' is 1x1x4x4, but 2x1x4x4 is needed"),
        ({"m0": np.True_, "m1": MASK}, "mask 'm0' is a scalar, but 2x1x4x4 is needed"),
    ],
)
def test_masks_that_do_not_fit(artifact, image, masks, says):
    with pytest.raises(UsageError, match=f"^{says}$"):
        artifact.run_forced(image, masks=masks)


def test_an_input_that_a_block_adds_to_is_not_written_to(tmp_path):
    """The residual is the input itself: a scatter-add in place would change the caller's array."""
    net = Network(size=8)
    net.channels = 3
    logits = net.conv("x", "logits", (3, 1), 1)
    mask = net.add("Greater", [logits, net.constant("nought", 0.0)], "m0")
    mask = net.add("Cast", [mask], "mask", to=TensorProto.FLOAT)
    branch = net.conv("x", "conv", (3, 3), 3)
    model = net.model(net.add("Add", ["x", net.add("Mul", [branch, mask], "gated")], "sum"), [1, 3, 8, 8])
    onnx.save(model, tmp_path / "m.onnx")
    artifact = load(build_artifact(tmp_path / "m.onnx", threads=1), 1)
    assert [block["dynamic"] for block in artifact.manifest.blocks] == [True]
    block = np.zeros(3 * 64 + 16, np.float32)
    start = -block.ctypes.data % 64 // 4
    x = block[start : start + 3 * 64].reshape(1, 3, 8, 8)
    x[...] = np.random.default_rng(0).standard_normal(x.shape)
    before = x.copy()
    result = artifact(x)
    assert not np.array_equal(result, x)
    assert np.array_equal(x, before)
