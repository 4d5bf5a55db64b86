"""The profile: each kernel's share of an inference, and what was active."""

import hashlib
import os
import signal
import time

import numpy as np
import pytest
from onnx import numpy_helper

from lascompile.errors import UsageError
from lascompile.runtime import profile as profile_module
from lascompile.runtime.artifact import load
from lascompile.runtime.profile import PARTS
from tests.runtime.tiny import tiny_network


@pytest.fixture
def clock(monkeypatch):
    """A clock that counts how often it is read."""
    ticks = []

    def perf_counter():
        ticks.append(None)
        return float(len(ticks))

    monkeypatch.setattr(profile_module.time, "perf_counter", perf_counter)
    return ticks


def test_it_names_every_step(artifact, image):
    profile = artifact.profile(image, repeats=3)
    assert tuple(entry.step for entry in profile.steps) == artifact.manifest.steps
    assert all(entry.latency_s >= 0 for entry in profile.steps)
    assert 0 < sum(entry.latency_s for entry in profile.steps)


def test_blocks_and_parts(artifact, image):
    profile = artifact.profile(image, repeats=1)
    table = profile.by_block()
    names = {block["name"] for block in artifact.manifest.blocks}
    assert set(table) == {"", *names}
    for name in names:
        assert tuple(table[name]) == PARTS
        assert all(table[name][part] > 0 for part in ("masker", "lists", "conv", "scatter"))
    assert table[""]["masker"] == 0
    total = sum(sum(parts.values()) for parts in table.values())
    assert total == pytest.approx(sum(entry.latency_s for entry in profile.steps))


def test_a_median_over_the_repeats(artifact, image, clock):
    profile = artifact.profile(image, repeats=4)
    steps = len(artifact.manifest.steps)
    # Each step reads the clock before and after, each inference twice more; the warm-up does not.
    assert len(clock) == 4 * (2 * steps + 2)
    assert {entry.latency_s for entry in profile.steps} == {1.0}
    assert profile.latency_s == 2 * steps + 1


def test_nothing_is_timed_afterwards(artifact, image, clock):
    artifact.profile(image, repeats=1)
    read = len(clock)
    artifact(image)
    artifact.run_with_masks(image)
    assert len(clock) == read


def test_nor_after_a_refused_input(artifact, image, clock):
    with pytest.raises(UsageError):
        artifact.profile(image[:1])
    artifact(image)
    assert clock == []


@pytest.mark.parametrize("repeats", [0, -1])
def test_repeats_must_be_positive(artifact, image, repeats):
    with pytest.raises(UsageError, match=f"^repeats is {repeats}, but at least 1 is needed$"):
        artifact.profile(image, repeats=repeats)


def last_convolutions(artifact):
    """By mask name: the node of the block's convolution that computes exactly what the mask has on."""
    return {
        block["mask"]: conv["name"]
        for block in artifact.manifest.blocks
        for conv in block["convolutions"]
        if conv["demand"] == "mask"
    }


def test_rates_are_those_of_the_masks(artifact, image):
    rates = artifact.profile(image, repeats=1).activation_rates()
    _, masks = artifact.run_with_masks(image)
    expected = {node: masks[name].mean() for name, node in last_convolutions(artifact).items()}
    assert len(expected) == 2
    assert any(0 < rate < 1 for rate in expected.values())
    assert {node: rates[node] for node in expected} == pytest.approx(expected)
    # What a 3x3 convolution reads is needed too: no fewer pixels than it computes.
    assert min(rates.values()) == min(expected.values())


@pytest.fixture
def constant_masks(damaged, edit_manifest):
    """The artifact with another bias of its maskers' first logit, written into the constants of a copy."""
    biases = [numpy_helper.to_array(t) for t in tiny_network().graph.initializer if t.name.endswith("logits.b")]

    def make(value):
        path = damaged / "constants.bin"
        content = path.read_bytes()
        for bias in biases:
            # The library's bias is padded to the width of a vector: it begins with the model's.
            assert content.count(bias.tobytes()) == 1
            content = content.replace(bias.tobytes(), np.array([value, 0], np.float32).tobytes())
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        return load(edit_manifest(lambda stored: stored["files"].update({path.name: digest})), 1)

    return make


@pytest.mark.parametrize("bias", [-1e6, 1e6])
def test_rates_of_nothing_and_of_everything(constant_masks, bias, image):
    artifact = constant_masks(bias)
    _, masks = artifact.run_with_masks(image)
    everything = bias > 0
    assert all(np.array_equal(mask, np.full_like(mask, everything)) for mask in masks.values())
    rates = artifact.profile(image, repeats=1).activation_rates()
    assert rates and set(rates.values()) == {float(everything)}


def test_an_interrupt_is_one(artifact, image, monkeypatch):
    """Ctrl-C while a kernel is timed: TVM would make an error of its own of it."""
    real, calls = time.perf_counter, []
    # Of a process in the background nobody knows what it does with an interrupt.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press():
        calls.append(1)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return real()

    monkeypatch.setattr("lascompile.runtime.profile.time.perf_counter", press)
    try:
        with pytest.raises(KeyboardInterrupt):
            artifact.profile(image, repeats=3)
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert artifact.profile(image, repeats=1).steps
    finally:
        signal.signal(signal.SIGINT, before)
