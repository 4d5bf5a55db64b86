"""Files of results are whole, or the older ones."""

from __future__ import annotations

import json

import pytest

from lascompile.bench.result_files import write_results


def test_what_is_written(tmp_path):
    def plot(path):
        path.write_bytes(b"plot")

    write_results(tmp_path, "speed", {"µs": 3}, "| µs |\n", plot)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speed.json", "speed.md", "speed.png"]
    assert json.loads((tmp_path / "speed.json").read_text()) == {"µs": 3}
    assert (tmp_path / "speed.md").read_text(encoding="utf-8") == "| µs |\n"
    assert (tmp_path / "speed.png").read_bytes() == b"plot"


def test_a_plot_that_fails_leaves_the_older_one(tmp_path):
    def fail(path):
        path.write_bytes(b"half")
        raise MemoryError

    (tmp_path / "speed.png").write_bytes(b"whole")
    with pytest.raises(MemoryError):
        write_results(tmp_path, "speed", [], "", fail)
    assert (tmp_path / "speed.png").read_bytes() == b"whole"
