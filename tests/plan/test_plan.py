"""Plans: what is read, what is refused, and that builds follow them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from lascompile.compile import build_artifact
from lascompile.errors import UsageError
from lascompile.manifest import Manifest
from lascompile.plan.plan import Plan
from lascompile.schedules.cpu.algorithms import ALGORITHMS
from tests import fast_algorithm
from tests.masked_nets import masked_network

FORM = 'it should be like {"schema": 1, "convolutions": {"node": "algorithm"}}'


def write(path: Path, value: object) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    plan = Plan({"conv1": "direct"})
    assert Plan.read(write(tmp_path / "p.json", plan.to_json())) == plan


def test_a_plan_over_another() -> None:
    plan = Plan({"conv1": "direct", "conv2": "direct"})
    assert plan.but({"conv2": "bf16x3"}).algorithms == {"conv1": "direct", "conv2": "bf16x3"}
    assert plan.algorithms["conv2"] == "direct"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"schema": 1,\n "convolutions": {]}', " is no JSON, line 2, column 19: Expecting property name"),
        ("", f" is no JSON, line 1, column 1: Expecting value; {FORM}"),
        ([1], f": it is a list, not an object; {FORM}"),
        ({"schema": 1}, f': there is no "convolutions"; {FORM}'),
        ({"convolutions": {}}, f': there is no "schema"; {FORM}'),
        ({"schema": 1, "convolutions": {}, "conv1": "direct"}, f': "conv1" is not known; {FORM}'),
        ({"schema": 1, "convolutions": 3}, f': "convolutions" is a number, not an object; {FORM}'),
        ({"schema": 1, "convolutions": {"a": "direct", "b": None}}, ': the algorithm of "b" is null, not a string;'),
        ({"schema": 2, "convolutions": {}}, ": it has schema 2, and this lascompile reads 1"),
        (
            {"schema": 1, "convolutions": {"conv1": "fft", "conv2": "direct", "conv3": "dft"}},
            f" names dft, fft, but the algorithms are {', '.join(ALGORITHMS)}",
        ),
    ],
)
def test_a_plan_that_cannot_be_read(tmp_path: Path, content: object, says: str) -> None:
    path = write(tmp_path / "p.json", content)
    with pytest.raises(UsageError) as caught:
        Plan.read(path)
    assert str(caught.value).startswith(f"plan {path}{says}")
    assert "\n" not in str(caught.value)


def test_a_plan_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(UsageError, match=r"p\.json is no text in UTF-8; it should be like"):
        Plan.read(tmp_path / "p.json")


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Plan.read(tmp_path / "p.json")
    assert str(caught.value) == f"plan {tmp_path / 'p.json'} cannot be read (No such file or directory)"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("layer1.conv9", "close are layer1.conv2, layer1.conv1"),
        ("xyz", "inspect --convolutions lists an artifact's"),
    ],
)
def test_convolutions_that_there_are_not(name: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Plan({name: "direct"}).check_nodes(["layer1.conv1", "layer1.conv2", "stem"])
    assert str(caught.value) == f"the plan names {name!r}, which is no convolution that can be planned; {says}"


def test_convolutions_that_there_are() -> None:
    Plan({"stem": "direct"}).check_nodes(["stem", "head"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "m.onnx"
    onnx.save(masked_network(blocks=1, size=8), path)
    return path


def algorithms(model: Path, folder: Path, **options: Any) -> dict[str, str]:
    steps = Manifest.read(build_artifact(model, folder / "m.lasc", threads=1, **options)).steps
    return {step.node: step.algorithm for step in steps if step.algorithm is not None}


def test_a_build_follows_its_plan(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast_algorithm.install(monkeypatch)
    plan = write(tmp_path / "p.json", {"schema": 1, "convolutions": {"b0.conv2": "direct"}})
    used = algorithms(model, tmp_path, plan=plan)
    assert used == dict.fromkeys(["stem", "b0.conv1", "b0.logits"], "fast") | {"b0.conv2": "direct"}


def test_the_manifest_knows_the_candidates(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast_algorithm.install(monkeypatch)
    steps = Manifest.read(build_artifact(model, tmp_path / "m.lasc", threads=1)).steps
    (step,) = (step for step in steps if step.node == "stem" and step.algorithm)
    costs = {candidate["algorithm"]: candidate for candidate in step.candidates}
    assert {"fast", "direct"} <= costs.keys()
    assert 0 < costs["fast"]["cost"] < costs["direct"]["cost"]
    low, high = costs["direct"]["interval"]
    assert low < costs["direct"]["cost"] < high
    assert costs["direct"]["source"] == "predicted"
    assert all(step.candidates == () for step in steps if step.algorithm is None)


def test_exact_numerics_leave_only_exact_algorithms(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast_algorithm.install(monkeypatch)
    assert set(algorithms(model, tmp_path, numerics="exact").values()) == {"direct"}


def test_an_unknown_convolution_stops_a_build(model: Path, tmp_path: Path) -> None:
    plan = write(tmp_path / "p.json", {"schema": 1, "convolutions": {"b0.conv3": "direct"}})
    for verify in (False, True):
        with pytest.raises(UsageError, match=r"^the plan names 'b0\.conv3', .+; close are b0\.conv2, b0\.conv1"):
            build_artifact(model, tmp_path / "m.lasc", plan=plan, verify=verify)
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]
