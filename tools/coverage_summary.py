"""Write coverage.py's JSON report in the form of Istanbul's json-summary: in total and per file.

    python -m tools.coverage_summary REPORT SUMMARY

coverage.py measures statements by the line that they begin on, so `lines` and `statements` are the same figures.
A function is covered once one of its statements ran.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any


def figures(total: int, covered: int, skipped: int = 0) -> dict[str, float]:
    """`total` things, of which tests reached `covered`; `skipped` more were excluded by a pragma.

    `pct` is truncated to two places, not rounded, so that 100 means all.
    """
    pct = covered * 10_000 // total / 100 if total else 100.0
    return {"total": total, "covered": covered, "skipped": skipped, "pct": pct}


def metrics(summary: Mapping[str, int], functions: Sequence[Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """The figures by metric, from a summary of a report of format 3 and from those of the functions in it."""
    lines = figures(summary["num_statements"], summary["covered_lines"], summary["excluded_lines"])
    return {
        "lines": lines,
        "statements": lines,
        "functions": figures(
            sum(function["num_statements"] > 0 for function in functions),
            sum(function["covered_lines"] > 0 for function in functions),
            sum(function["num_statements"] == 0 < function["excluded_lines"] for function in functions),
        ),
        "branches": figures(summary["num_branches"], summary["covered_branches"]),
    }


def summarise(report: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """The whole summary, under `total` and under each file's path, by metric."""
    # The region named "" is the code outside of functions.
    functions = {path: [region["summary"] for name, region in file["functions"].items() if name]
                 for path, file in report["files"].items()}
    return {"total": metrics(report["totals"], list(chain.from_iterable(functions.values()))),
            **{path: metrics(file["summary"], functions[path]) for path, file in report["files"].items()}}


def main(arguments: Sequence[str]) -> None:
    """Read the report, write the summary, print its total in one line."""
    source, target = map(Path, arguments)
    summary = summarise(json.loads(source.read_text(encoding="utf-8")))
    target.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    total = (f"{metric} {found['pct']:g} %" for metric, found in summary["total"].items())
    print(f"{target}: {', '.join(total)}")


if __name__ == "__main__":
    main(sys.argv[1:])
