"""What `build --verify` found, in words."""

from __future__ import annotations

import io

from rich.console import Console

from lascompile.report.verification_table import fallback_lines, network_line, show_error, verification_table
from lascompile.verify.outcome import BlockOutcome, Verification

WHY = "fast differed by 3.0e-04 of the output's range (allowed: 1e-04)"
FOUND = Verification(
    tolerance=1e-4,
    error=2.2e-5,
    cases=13,
    blocks=(
        BlockOutcome("layer1.0", 3e-6, {"n1": "fast", "n2": "direct", "n3": "fast"}),
        BlockOutcome("layer1.1", 1e-7, {"n4": "direct"}, WHY),
        BlockOutcome("layer1.2", 1e-7, {"n5": "direct"}, WHY),
        BlockOutcome("outside blocks", None, {"stem": "fast"}),
    ),
).to_dict()
BLOCKS = [
    {
        "name": "layer1.0",
        "convolutions": [{"name": f"n{number}", "module": f"layer1.0.conv{number}"} for number in (1, 2, 3)],
    }
]


def test_a_row_for_each_block_with_its_convolutions_by_algorithm() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(verification_table(FOUND, BLOCKS))
    rows = [line.split(maxsplit=2) for line in out.getvalue().splitlines()[2:]]
    assert [row[:2] for row in rows[:3]] == [["layer1.0", "3.0e-06"], ["layer1.1", "1.0e-07"], ["layer1.2", "1.0e-07"]]
    assert rows[0][2].rstrip() == "fast: conv1, conv3; direct: conv2"
    assert rows[1][2].rstrip() == "direct: n4"


def test_blocks_that_fell_back_for_one_reason_share_a_line() -> None:
    assert fallback_lines(FOUND) == [f"layer1.1, layer1.2: computed directly, since {WHY}"]


def test_the_network_in_one_line() -> None:
    line = "13 cases agree with onnxruntime; largest error 2.2e-05 of the output's range (allowed: 1e-04)"
    assert network_line(FOUND) == f"{line}; 2 of 4 parts fell back to direct"
    sound = FOUND | {"blocks": [block for block in FOUND["blocks"] if not block["fallback"]]}
    assert network_line(sound) == line
    assert fallback_lines(sound) == []


def test_no_number_is_a_dash() -> None:
    assert show_error(None) == "-"
