"""Run ONNX's node tests: `python -m tests.onnx_nodes.run [--jobs N] [--write] [NAME …]`.

Prints what is wrong, what broke, and what got worse against `results.json`; exits with 1 if there is any of that.
With `--write`, the file becomes what came out, unless something is wrong, broke or got worse.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path

from tests.onnx_nodes.cases import INTERNAL, PASSED, REFUSED, WRONG, Result, load_cases, run_cases

RESULTS = Path(__file__).with_name("results.json")


def stored_results() -> dict[str, Result]:
    """What came out before, by name."""
    if not RESULTS.is_file():
        return {}
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    passed = {name: Result(name, PASSED) for name in stored[PASSED]}
    return passed | {name: Result(name, REFUSED, reason) for name, reason in stored[REFUSED].items()}


def faults(results: dict[str, Result], before: dict[str, Result]) -> list[str]:
    """What must not be, a line each."""
    lines = [f"{one.name}: {one.status}: {one.reason}" for one in results.values() if one.status in (WRONG, INTERNAL)]
    lost = (one for one in results.values() if one.status == REFUSED and before.get(one.name, one).status == PASSED)
    return lines + [f"{one.name}: passed before, now refused: {one.reason}" for one in lost]


def write(results: dict[str, Result]) -> None:
    """Keep what came out."""
    passed = sorted(name for name, one in results.items() if one.status == PASSED)
    refused = {name: results[name].reason for name in sorted(results) if results[name].status == REFUSED}
    RESULTS.write_text(json.dumps({"onnx": _version(), PASSED: passed, REFUSED: refused}, indent=1) + "\n")


def main() -> int:
    """Run and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases (default: all)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    names = args.names or list(load_cases())
    results = {}
    for number, result in enumerate(run_cases(names, args.jobs), start=1):
        results[result.name] = result
        if number % 100 == 0:
            print(f"{number} of {len(names)}", file=sys.stderr)
    found = faults(results, stored_results())
    print("\n".join(found))
    counts = Counter(one.status for one in results.values())
    print(", ".join(f"{counts[status]} {status}" for status in (PASSED, REFUSED, WRONG, INTERNAL)))
    if args.write and not found and not args.names:
        write(results)
    return int(bool(found))


def _version() -> str:
    import onnx

    return str(onnx.__version__)


if __name__ == "__main__":
    sys.exit(main())
