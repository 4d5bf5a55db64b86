"""`python -m tests.fuzz [--seconds S] [--count N] [--first K] [TARGET ...]`: damaged files of every kind."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from tests.fuzz.campaign import clean, keep, run
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Runs the targets, prints a line of each, and keeps what was found; exit code 1 if there was anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=300, help="of all together (default: 300)")
    parser.add_argument("--count", type=int, default=10**9, help="cases of each")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--output", type=Path, default=Path("build/fuzz"), help="for what was found")
    args = parser.parse_args()
    logging.disable()  # of what is left out
    chosen = args.targets or list(TARGETS)
    clean(args.output)
    total = 0
    for name in chosen:
        done, findings = run(TARGETS[name], args.count, args.seconds / len(chosen), args.first)
        print(f"{name}: {done} cases, {len(findings)} findings", flush=True)
        for finding in findings[:20]:
            print(f"  {finding.number}: {finding.why[:300]}")
        keep(findings, TARGETS[name], args.output)
        total += len(findings)
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
