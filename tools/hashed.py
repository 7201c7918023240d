"""Writes requirements-deploy.txt from pip's report: every package with its version and hash. `make lock` runs it.

The workflows that deploy install from it before they hold credentials. A hash is that of the file which pip has chosen,
so the file fits the machine that wrote it: Python 3.11 on Linux x86-64, as the workflows have.
"""
import json
import sys
from typing import Any, TextIO

HEAD = "# Written by `make lock` for Python 3.11 on Linux x86-64: all that make up, verify and destroy need."


def write(report: dict[str, Any], out: TextIO) -> None:
    """Write one line for each package in a report of `pip install --report`."""
    print(HEAD, file=out)
    lines = []
    for package in report["install"]:
        name, version = package["metadata"]["name"].lower(), package["metadata"]["version"]
        lines.append(f"{name}=={version} --hash=sha256:{package['download_info']['archive_info']['hashes']['sha256']}")
    print(*sorted(lines), sep="\n", file=out)


if __name__ == "__main__":
    write(json.load(sys.stdin), sys.stdout)
