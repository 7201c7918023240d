"""Write coverage.py's JSON report in the form of Istanbul's json-summary: in total and per file.

    python -m tools.coverage_summary REPORT SUMMARY

coverage.py measures statements by the line that they begin on, so `lines` and `statements` are the same figures.
A function is covered once one of its statements ran.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Count:
    """`total` things, of which tests reached `covered`; `skipped` more were excluded by a pragma."""

    total: int = 0
    covered: int = 0
    skipped: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(self.total + other.total, self.covered + other.covered, self.skipped + other.skipped)

    def document(self) -> dict[str, float]:
        """The figures with `pct`, which is cut to two places rather than rounded: 100 means all."""
        pct = self.covered * 10_000 // self.total / 100 if self.total else 100.0
        return {"total": self.total, "covered": self.covered, "skipped": self.skipped, "pct": pct}


def counts(report: Mapping[str, Any]) -> dict[str, Count]:
    """The counts of one file, by metric, from its entry in a report of format 3."""
    summary = report["summary"]
    lines = Count(summary["num_statements"], summary["covered_lines"], summary["excluded_lines"])
    # The region named "" is the code outside of functions.
    functions = [region["summary"] for name, region in report["functions"].items() if name]
    return {
        "lines": lines,
        "statements": lines,
        "functions": Count(
            sum(function["num_statements"] > 0 for function in functions),
            sum(function["covered_lines"] > 0 for function in functions),
            sum(function["num_statements"] == 0 < function["excluded_lines"] for function in functions),
        ),
        "branches": Count(summary["num_branches"], summary["covered_branches"]),
    }


def summarise(report: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """The whole summary, under `total` and under each file's path, by metric."""
    files = {path: counts(entry) for path, entry in report["files"].items()}
    metrics = ("lines", "statements", "functions", "branches")
    total = {metric: reduce(add, (file[metric] for file in files.values()), Count()) for metric in metrics}
    return {
        path: {metric: count.document() for metric, count in file.items()}
        for path, file in {"total": total, **files}.items()
    }


def main(arguments: Sequence[str]) -> None:
    """Read the report, write the summary, print its total in one line."""
    source, target = map(Path, arguments)
    summary = summarise(json.loads(source.read_text(encoding="utf-8")))
    target.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    total = (f"{metric} {figures['pct']:g} %" for metric, figures in summary["total"].items())
    print(f"{target}: {', '.join(total)}")


if __name__ == "__main__":
    main(sys.argv[1:])
