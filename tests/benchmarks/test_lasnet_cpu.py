"""The benchmark around its measurements: what it keeps, skips, refuses and writes."""

from __future__ import annotations

import json

import pytest

from lascompile.bench import describe_machine
from lascompile.errors import UsageError
from tests.benchmarks.scripts import loaded


@pytest.fixture(scope="module")
def script():
    with loaded("lasnet_cpu") as module:
        yield module


@pytest.fixture
def settings(script):
    return script.Settings(("onnxruntime", "openvino"), repeats=5, threads=2)


def report(case, threads=2):
    """A report in which the artifact takes 10 ms and onnxruntime 10 ms over the rate; openvino is missing."""

    def row(runtime, network, latency_s, note=""):
        latency = latency_s and {"median_s": latency_s}
        return {"runtime": runtime, "network": network, "latency": latency, "note": note}

    return {
        "machine": describe_machine(threads),
        "activation_rate": case.rate - 0.01,
        "fastest_static": "onnxruntime",
        "ratio": {"median": case.rate, "q1": case.rate - 0.01, "q3": case.rate + 0.01},
        "rows": [
            row("lascompile", "artifact", 0.01),
            row("onnxruntime", "static", 0.01 / case.rate),
            row("openvino", "static", None, "openvino is not installed"),
            row("onnxruntime", "dynamic", 0.03),
            row("openvino", "dynamic", None, "openvino is not installed"),
        ],
    }


def test_rows_are_kept_and_measured_once(script, settings, tmp_path, capsys):
    measured = []

    def measure(case, given):
        measured.append(case)
        return report(case)

    first = [script.Case("lasnet_resnet50", rate, 1) for rate in (0.7, 0.3)]
    script.run(first, settings, tmp_path, measure)
    script.run([*first, script.Case("lasnet_resnet101", 0.5, 8)], settings, tmp_path, measure)
    assert [case.name for case in measured] == [
        "lasnet_resnet50_r0.7_b1",
        "lasnet_resnet50_r0.3_b1",
        "lasnet_resnet101_r0.5_b8",
    ]
    assert "lasnet_resnet50_r0.3_b1: measured before" in capsys.readouterr().out
    rows = json.loads((tmp_path / "lasnet_cpu.json").read_text())["rows"]
    assert [(row["model"], row["rate"]) for row in rows] == [
        ("lasnet_resnet50", 0.3),
        ("lasnet_resnet50", 0.7),
        ("lasnet_resnet101", 0.5),
    ]
    script.run(first[:1], settings, tmp_path, measure, again=True)
    assert len(measured) == 4
    assert len(json.loads((tmp_path / "lasnet_cpu.json").read_text())["rows"]) == 3


def test_networks_without_masks_are_measured_once(script, tmp_path, monkeypatch):
    measured = []

    def measure(case, given):
        measured.append((case.model, case.rate, case.granularity))
        return {**report(case), "activation_rate": None}

    monkeypatch.setattr(script, "measure_in_processes", measure)
    arguments = ["--models", "resnet50", "--rates", "0.5", "1.0", "--batches", "1", "--output", str(tmp_path)]
    assert script.main(arguments) == 0
    assert measured == [("resnet50", 1.0, ())]
    assert "| resnet50 | 1 | 1.00 | 1.00 |" in (tmp_path / "lasnet_cpu.md").read_text()


def test_a_table_is_of_one_target(script, settings, tmp_path, capsys):
    script.run([script.Case("lasnet_resnet50", 0.5, 1)], settings, tmp_path, lambda case, given: report(case))
    assert script.main(["--target", "llvm -mcpu=haswell", "--output", str(tmp_path), "--threads", "2"]) == 2
    assert "was measured for llvm: delete it, or choose another --output" in capsys.readouterr().err


def test_what_was_measured_before_a_failure_is_kept(script, settings, tmp_path):
    def measure(case, given):
        if case.rate == 0.5:
            raise KeyboardInterrupt
        return report(case)

    with pytest.raises(KeyboardInterrupt):
        script.run([script.Case("lasnet_resnet50", rate, 1) for rate in (0.3, 0.5)], settings, tmp_path, measure)
    assert len(json.loads((tmp_path / "lasnet_cpu.json").read_text())["rows"]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"lasnet_cpu.json", "lasnet_cpu.md", "lasnet_cpu.png"}


def test_the_table(script, settings, tmp_path):
    script.run([script.Case("lasnet_resnet50", 0.5, 1)], settings, tmp_path, lambda case, _: report(case))
    lines = (tmp_path / "lasnet_cpu.md").read_text().splitlines()
    assert "S = 4-4-2-1, float32, on 2 threads of" in lines[0]
    assert lines[2] == (
        "| model | batch | r wanted | r measured | lascompile | onnxruntime, static | onnxruntime, masked "
        "| ratio to the fastest static |"
    )
    assert lines[4] == "| lasnet_resnet50 | 1 | 0.50 | 0.49 | 10.0 | 20.0 | 30.0 | **0.500** (0.490 to 0.510) |"
    assert lines[6] == "- openvino, static: openvino is not installed"


def test_the_plot_is_a_picture(script, settings, tmp_path):
    script.run([script.Case("lasnet_resnet50", 0.5, 1)], settings, tmp_path, lambda case, _: report(case))
    assert (tmp_path / "lasnet_cpu.png").read_bytes().startswith(b"\x89PNG")


def test_results_of_another_machine_are_not_mixed_in(script, settings, tmp_path):
    cases = [script.Case("lasnet_resnet50", 0.5, 1)]
    script.run(cases, settings, tmp_path, lambda case, _: report(case, threads=3) | {"ratio": None})
    with pytest.raises(UsageError, match="was measured on another machine, with other versions or other threads"):
        script.run(cases, settings, tmp_path, lambda case, _: report(case))


def test_damaged_results_are_refused(script, settings, tmp_path):
    (tmp_path / "lasnet_cpu.json").write_text('{"rows": [{}')
    with pytest.raises(UsageError, match="is damaged"):
        script.run([], settings, tmp_path, lambda case, _: report(case))
