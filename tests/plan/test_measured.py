"""Builds by records and latency table, written by hand."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from lascompile.cli.main import main
from lascompile.compile import build_artifact
from lascompile.cpu import cpu_model
from lascompile.errors import UsageError
from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.latency import Cell, LatencyTable, Row
from lascompile.lower.kernels import ScheduledKernel, Scheduler
from lascompile.lower.lower import analyse, lower
from lascompile.manifest import Manifest, StepSpec
from lascompile.plan.candidate import Candidate
from lascompile.plan.known import known_algorithms
from lascompile.records import WRONG, Failure, Latency, Record, RecordStore, TargetKey, Task
from lascompile.records.matching import is_dynamic
from lascompile.schedules.numerics import Numerics
from lascompile.target import parse_target
from lascompile.tune.tasks import Setting, tasks_of_model
from tests.masked_nets import masked_network
from tests.records.samples import VERSIONS

TARGET = parse_target("llvm")
NODE = "stem"
"""A dense 3x3 convolution, so that there are several algorithms on any CPU."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("measured") / "m.onnx"
    onnx.save(masked_network(blocks=1, size=8), path)
    return path


@pytest.fixture(scope="module")
def kernels(model: Path) -> Mapping[str, ScheduledKernel]:
    return kernels_of(model)


def kernels_of(model: Path) -> Mapping[str, ScheduledKernel]:
    """The kernels of the convolutions, as they are chosen where nothing was measured."""
    graph = simplify(load_model(model)).graph
    program = lower(graph, analyse(graph), Scheduler(TARGET, 1))
    kernels = {step.node: step.kernel for step in program.steps if isinstance(step.kernel, ScheduledKernel)}
    return {node: kernel for node, kernel in kernels.items() if kernel.algorithm is not None}


@pytest.fixture(scope="module")
def candidates(kernels: Mapping[str, ScheduledKernel]) -> Sequence[Candidate]:
    """Those of NODE, best first."""
    return kernels[NODE].candidates


def record(candidate: Candidate, median_s: float = 1e-3, **changes: Any) -> Record:
    """A trial of `candidate`; `changes` are of fields of the record or of the task."""
    task = Task(candidate.workload, TargetKey.of(TARGET), 1, cpu_model(), 0.5)
    of_task = {name: changes.pop(name) for name in list(changes) if name in vars(task)}
    name = candidate.algorithm.name
    made = Record(
        task=replace(task, **of_task),
        algorithm=name,
        definition=known_algorithms(candidate.workload, "llvm", [name])[name].definition,
        decisions=asdict(candidate.decisions),
        versions=VERSIONS,
        latency=Latency(median_s, median_s, median_s, 10),
    )
    return replace(made, **changes)


def inverted(candidates: Sequence[Candidate]) -> list[Record]:
    """Records by which the last of `candidates` is the fastest."""
    return [record(candidate, 1e-3 / (place + 1)) for place, candidate in enumerate(candidates)]


def direct(candidates: Sequence[Candidate]) -> Candidate:
    return next(candidate for candidate in candidates if candidate.algorithm.name == "direct")


def build(model: Path, folder: Path, *records: Record, **options: Any) -> StepSpec:
    """The step of NODE in a build with `records`."""
    RecordStore(folder / "records").append(*records)
    return step_of(build_artifact(model, folder / "m.lasc", threads=1, records=folder / "records", **options))


def step_of(artifact: Path) -> StepSpec:
    return next(step for step in Manifest.read(artifact).steps if step.node == NODE and step.algorithm)


def test_records_change_the_algorithm(model: Path, tmp_path: Path, candidates: Sequence[Candidate]) -> None:
    records = inverted(candidates)
    step = build(model, tmp_path, *records)
    assert step.algorithm == candidates[-1].algorithm.name != candidates[0].algorithm.name
    chosen = step.candidates[0]
    assert (chosen["algorithm"], chosen["source"]) == (step.algorithm, "record")
    assert [candidate["cost"] for candidate in step.candidates] == sorted(r.latency.median_s for r in records)  # type: ignore[union-attr]
    told = chosen["record"]
    assert told["record"] == records[-1].identity and told["from"] == "user"
    assert told["when"] == records[-1].when and told["versions"] == asdict(VERSIONS)


def test_records_change_decisions(
    model: Path, tmp_path: Path, kernels: Mapping[str, ScheduledKernel], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the algorithm that would be taken anyway; other convolutions stay as they are, and `inspect` tells."""
    candidate = direct(kernels[NODE].candidates)
    decisions = asdict(candidate.decisions) | {"rows_inside": not candidate.decisions.rows_inside}
    tuned = record(candidate, decisions=decisions)
    step = build(model, tmp_path, tuned, numerics="exact")
    assert step.algorithm == "direct"
    assert step.candidates[0]["record"]["record"] == tuned.identity
    artifact = tmp_path / "m.lasc"
    others = [step for step in Manifest.read(artifact).steps if step.node != NODE]
    assert not any("record" in candidate for step in others for candidate in step.candidates)
    assert main(["inspect", str(artifact), "--convolutions"]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"- {NODE} direct direct 1 ms (record) {tuned.identity}" in shown
    assert f"record {tuned.identity}: 1 ms at activation rate 0.5 on {cpu_model()}, {tuned.when}, " in shown[-1]
    library = build_library(artifact)
    build_artifact(model, artifact, threads=1, numerics="exact", use_records=False)
    assert build_library(artifact) != library


@pytest.mark.parametrize("wrong", [{"width": 0}, {"tile_rows": -3}, {"unroll": 7, "tile_rows": 1000}])
def test_records_of_impossible_decisions_are_left_out(
    model: Path,
    tmp_path: Path,
    candidates: Sequence[Candidate],
    wrong: dict[str, int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As somebody may have edited them; they would be the fastest."""
    candidate = direct(candidates)
    step = build(model, tmp_path, record(candidate, 1e-9, decisions=asdict(candidate.decisions) | wrong))
    assert all("record" not in told for told in step.candidates)
    [line] = [entry.getMessage() for entry in caplog.records if entry.name == "lascompile.records"]
    assert "records left out, since they are of another schedule (its space has no such decisions): 1;" in line


def build_library(artifact: Path) -> str:
    return hashlib.sha256((artifact / Manifest.read(artifact).library).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"target": TargetKey("llvm", "x86_64", "another", ())},
        {"threads": 2},
        {"versions": replace(VERSIONS, tvm="0.1")},
        {"latency": None, "failure": Failure(WRONG)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_records_of_something_else_do_not_count(
    model: Path, tmp_path: Path, candidates: Sequence[Candidate], changes: Mapping[str, Any]
) -> None:
    step = build(model, tmp_path, *(record(candidate, **changes) for candidate in candidates))
    assert step == build_without(model, tmp_path)


def build_without(model: Path, folder: Path) -> StepSpec:
    return step_of(build_artifact(model, folder / "without.lasc", threads=1, use_records=False))


def test_exact_numerics_take_no_record_of_a_fast_algorithm(
    model: Path, tmp_path: Path, candidates: Sequence[Candidate]
) -> None:
    fast = [record(candidate, 1e-9) for candidate in candidates if candidate.algorithm.numerics is Numerics.FAST]
    assert fast
    step = build(model, tmp_path, *fast, numerics="exact")
    assert step.algorithm == "direct" and [c["source"] for c in step.candidates] == ["predicted"]


def test_a_damaged_line_is_named_and_the_rest_is_used(
    model: Path, tmp_path: Path, candidates: Sequence[Candidate], capfd: pytest.CaptureFixture[str]
) -> None:
    store = RecordStore(tmp_path / "records")
    store.append(*inverted(candidates))
    (path,) = (item.path for item in list(store.records())[:1])
    path.write_bytes(b"damaged\n" + path.read_bytes())
    handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    try:
        step = build(model, tmp_path)
    finally:
        logging.getLogger().removeHandler(handler)
    assert step.candidates[0]["source"] == "record"
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{path}, line 1 is damaged and left out: ")


def test_an_outdated_record_is_left_out_with_one_line(
    model: Path, tmp_path: Path, candidates: Sequence[Candidate], caplog: pytest.LogCaptureFixture
) -> None:
    step = build(model, tmp_path, record(direct(candidates), definition="another"))
    assert step == build_without(model, tmp_path)
    (line,) = caplog.messages
    assert "records left out, since they are of another definition of the kernel: 1; tune again" in line


def test_the_table_decides(model: Path, tmp_path: Path, candidates: Sequence[Candidate]) -> None:
    """With rows of the decisions that are built; a row of others says nothing of them."""
    for place, candidate in enumerate(candidates):
        of = record(candidate, 1e-3 / (place + 1))
        assert of.latency is not None
        cell = Cell(of.task, of.algorithm, of.definition, of.decisions)
        LatencyTable(tmp_path / "records").append(Row(cell, of.latency, VERSIONS))
    step = build(model, tmp_path)
    assert step.algorithm == candidates[-1].algorithm.name
    assert step.candidates[0]["source"] == "table"
    assert step.candidates[0]["row"]["device"] == cpu_model() and "record" not in step.candidates[0]
    plain = direct(candidates)
    decisions = asdict(plain.decisions) | {"rows_inside": not plain.decisions.rows_inside}
    step = build(model, tmp_path, record(plain, 1e-12, decisions=decisions))
    found = {candidate["algorithm"]: candidate for candidate in step.candidates}
    assert found["direct"]["source"] == "scaled" and "record" in found["direct"]


@pytest.mark.parametrize(
    ("side", "written"), [(4, (4,)), (2, (4,)), (4, (4, 2)), (4, (2, 4)), (2, (4, 2)), (2, (2, 4))]
)
def test_the_table_decides_by_rows_of_one_granularity(tmp_path: Path, side: int, written: Sequence[int]) -> None:
    """Of the mask's own where there are some. The best of patches of four is the worst of patches of two."""
    path = tmp_path / "m.onnx"
    onnx.save(masked_network(blocks=1, size=8, granularity=side), path)
    candidates = kernels_of(path)["b0.conv2"].candidates
    assert len(candidates) > 1 and is_dynamic(candidates[0].workload)
    table = LatencyTable(tmp_path / "records")
    for place, candidate in enumerate(candidates):
        # What is written last is of another granularity for each second candidate.
        for size in written[:: 1 - 2 * (place % 2)]:
            of = record(candidate)
            seconds = 1e-3 * (2 + place) if size == 2 else 1e-4 / (2 + place)
            cell = Cell(of.task, of.algorithm, of.definition, of.decisions, (size, size))
            table.append(Row(cell, Latency.of([seconds]), VERSIONS))
    used = side if side in written else written[0]
    artifact = build_artifact(path, tmp_path / "m.lasc", threads=1, records=table.folder)
    [step] = [step for step in Manifest.read(artifact).steps if step.node == "b0.conv2" and step.algorithm]
    names = [candidate.algorithm.name for candidate in candidates]
    assert [told["algorithm"] for told in step.candidates] == (names if used == 2 else names[::-1])
    assert [told["row"]["granularity"] for told in step.candidates] == [[used, used]] * len(names)


def test_builds_with_records_are_reproducible(model: Path, tmp_path: Path, candidates: Sequence[Candidate]) -> None:
    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "m.lasc").iterdir()}

    build(model, tmp_path, *inverted(candidates))
    once = contents()
    build(model, tmp_path)
    assert contents() == once


def test_a_verified_build_uses_records(model: Path, tmp_path: Path, candidates: Sequence[Candidate]) -> None:
    step = build(model, tmp_path, *inverted(candidates), verify=True)
    assert step.algorithm == candidates[-1].algorithm.name and step.candidates[0]["source"] == "record"


def test_tuning_takes_no_notice(
    model: Path, tmp_path: Path, candidates: Sequence[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which algorithm is the default one does not depend on what was found before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    setting = Setting(TARGET, 1, cpu_model(), 0.5)
    before = tasks_of_model(model, setting)
    RecordStore(tmp_path / "lascompile" / "records").append(*inverted(candidates))
    assert step_of(build_artifact(model, tmp_path / "m.lasc", threads=1)).candidates[0]["source"] == "record"
    assert tasks_of_model(model, setting) == before


def test_a_folder_that_is_not_there(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"^--records .*missing: no such folder$"):
        build_artifact(model, tmp_path / "m.lasc", records=tmp_path / "missing")
    assert main(["build", str(model), "--records", str(tmp_path), "--no-records"]) == 2
    assert "--no-records: not allowed with argument --records" in capsys.readouterr().err
