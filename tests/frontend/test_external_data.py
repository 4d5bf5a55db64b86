"""Weights beside the model: read where they may be, refused in one line where they are not what the model says."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from lascompile.errors import UnsupportedModelError
from lascompile.frontend.load import load_model
from tests.masked_nets import masked_network


@pytest.fixture
def saved(tmp_path):
    """The path of a model whose weights are in `m.data`, and a function to save it with other places."""
    model = masked_network(blocks=1, size=8)
    convert_model_to_external_data(model, location="m.data", size_threshold=0)
    path = tmp_path / "m.onnx"
    onnx.save(model, path)

    def save(**changed):
        stored = onnx.load(path, load_external_data=False)
        first = next(tensor for tensor in stored.graph.initializer if tensor.external_data)
        for entry in first.external_data:
            entry.value = changed.pop(entry.key, entry.value)
        assert not changed
        path.write_bytes(stored.SerializeToString())
        return path

    return save


def weights(path):
    return [value.const_value.numpy() for value in load_model(path).graph.initializers.values()]


def test_weights_are_those_of_the_file(saved):
    path = saved()
    expected = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]
    assert all(np.array_equal(*pair) for pair in zip(weights(path), expected, strict=True))


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_as_in_a_hubs_cache(saved, tmp_path, link):
    path = saved()
    expected = weights(path)
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    snapshot.mkdir()
    for name in ("m.onnx", "m.data"):
        (tmp_path / name).rename(blobs / f"sha-{name}")
        link(blobs / f"sha-{name}", snapshot / name)
    assert all(np.array_equal(*pair) for pair in zip(weights(snapshot / "m.onnx"), expected, strict=True))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"offset": "-8"}, "the offset of tensor"),
        ({"offset": "eight"}, "is 'eight', which is no number of bytes"),
        ({"offset": "9" * 30}, "which is no number of bytes"),
        ({"offset": "999999999"}, "ends at byte"),
        ({"length": "-1"}, "the length of tensor"),
        ({"length": "4"}, "but its shape needs"),
        ({"location": "/etc/passwd"}, "which is no file beside the model"),
        ({"location": "../m.data"}, "which is no file beside the model"),
        ({"location": ""}, "which is no file beside the model"),
        ({"location": "none"}, "No such file"),
        ({"location": "."}, "which is no file beside the model"),
    ],
)
def test_places_that_cannot_be(saved, changed, says):
    with pytest.raises(UnsupportedModelError) as caught:
        load_model(saved(**changed))
    assert "its external data cannot be read" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
