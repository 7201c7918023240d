"""Run tests, and write which code they reached in the form of Istanbul's json-summary: in total and per file.

    python -m tools.covered SUMMARY --of SOURCE... -- TESTS...

slipcover instruments the code itself, so the measurement costs little and holds in greenlets, too. Lines and
statements are the same figures. A function is covered once one of its lines ran. Exit code 1 if any line or branch was
not reached.
"""
import argparse
import ast
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import slipcover

ALSO_EXCLUDED = [r'^if __name__ == "__main__":']
"""Lines that only a separate process can reach. A test starts it, unmeasured."""
METRICS = ("lines", "statements", "functions", "branches")
COUNTS = ("total", "covered")


def figures(total: int, covered: int) -> dict[str, float]:
    """`total` things, of which tests reached `covered`. `pct` is truncated to two places, so that 100 means all."""
    pct = covered * 10_000 // total / 100 if total else 100.0
    return {"total": total, "covered": covered, "skipped": 0, "pct": pct}


def metrics(path: str, file: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The figures of a file, by metric."""
    ran, missed = set(file["executed_lines"]), set(file["missing_lines"])
    bodies = [set(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
              for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8")))
              if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    with_code = [body for body in bodies if body & (ran | missed)]
    branches = len(file["executed_branches"])
    lines = figures(len(ran | missed), len(ran))
    return {"lines": lines, "statements": lines,
            "functions": figures(len(with_code), sum(bool(body & ran) for body in with_code)),
            "branches": figures(branches + len(file["missing_branches"]), branches)}


def summarise(files: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """The whole summary, under `total` and under each file's path, by metric."""
    found = {path: metrics(path, file) for path, file in sorted(files.items())}
    total = {metric: figures(*(int(sum(file[metric][count] for file in found.values())) for count in COUNTS))
             for metric in METRICS}
    return {"total": total, **found}


def measure(tests: Sequence[str], sources: Sequence[Path]) -> tuple[int, dict[str, Any]]:
    """Run the tests. Returns pytest's exit code, and slipcover's findings for each file under the sources."""
    files = slipcover.FileMatcher(sources=list(sources))
    cover = slipcover.Slipcover(branch=True, source=[str(source) for source in sources if source.is_dir()],
                                exclude_also=ALSO_EXCLUDED)
    with slipcover.ImportManager(cover, files):
        code = pytest.main(list(tests))
    return int(code), cover.get_coverage()["files"]


def main(arguments: Sequence[str]) -> int:
    """Measure, write the summary, print its total and what was not reached. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="covered")
    parser.add_argument("summary", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--of", nargs="+", type=Path, required=True, dest="sources")
    asked = parser.parse_args(arguments)
    code, files = measure(asked.tests, asked.sources)
    summary = summarise(files)
    asked.summary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    total = ", ".join(f"{metric} {found['pct']:g} %" for metric, found in summary["total"].items())
    print(f"{asked.summary}: {total}")
    missed = {path: (file["missing_lines"], file["missing_branches"]) for path, file in sorted(files.items())
              if file["missing_lines"] or file["missing_branches"]}
    for path, (lines, branches) in missed.items():
        print(f"{path}: not reached: lines {lines}, branches {branches}")
    return code or bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
