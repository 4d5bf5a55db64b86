"""What `--json` prints is JSON, whatever the numbers."""

import json
import math

import numpy as np
import onnx
import pytest

from lascompile.cli.json_output import to_json
from lascompile.cli.main import main
from lascompile.compile import build_artifact
from tests.masked_nets import masked_network


def strictly(text):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("indent", [None, 1])
def test_numbers_that_json_lacks(indent):
    value = {"a": [math.nan, (math.inf, -math.inf)], "b": 1.5, "c": "NaN", "d": None}
    expected = {"a": ["NaN", ["Infinity", "-Infinity"]], "b": 1.5, "c": "NaN", "d": None}
    assert strictly(to_json(value, indent)) == expected
    assert to_json({"é": "ü"}).isascii()


def test_scores_that_are_not_finite(tmp_path, capsys):
    onnx.save(masked_network(head=True, blocks=1, size=8), tmp_path / "m.onnx")
    build_artifact(tmp_path / "m.onnx", threads=1)
    np.save(tmp_path / "x.npy", np.full((1, 3, 8, 8), np.nan, np.float32))
    assert main(["run", str(tmp_path / "m.lasc"), "--threads", "1", "--json", "--input", str(tmp_path / "x.npy")]) == 0
    ((best, *_),) = strictly(capsys.readouterr().out)["outputs"][0]["best"]
    assert best["score"] == "NaN"
