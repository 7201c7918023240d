"""The packages with which stacks are deployed are pinned by version and hash."""
import io
import re
from pathlib import Path

from tools.hashed import HEAD, write

ROOT = Path(__file__).parents[3]
PINNED = re.compile(r"([a-z0-9_.-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")


def test_each_package_has_a_line_with_its_hash() -> None:
    def package(name: str, version: str) -> dict[str, object]:
        return {"metadata": {"name": name, "version": version},
                "download_info": {"archive_info": {"hashes": {"sha256": "ab"}}}}
    out = io.StringIO()
    write({"install": [package("Zebra", "2"), package("ant", "1.0")]}, out)
    assert out.getvalue() == f"{HEAD}\nant==1.0 --hash=sha256:ab\nzebra==2 --hash=sha256:ab\n"


def canonical(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_set_that_deploys_is_up_to_date_and_small() -> None:
    lines = (ROOT / "requirements-deploy.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == HEAD
    found = {canonical(match[1]): match[2] for match in map(PINNED.fullmatch, lines[1:]) if match}
    assert len(found) == len(lines) - 1
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
                  if "==" in line)
    versions = {canonical(name): version for name, version in pinned.items()}
    assert {name: versions[name] for name in found} == found, "run `make lock`"
    needed = [line.partition("==")[0] for file in ("requirements.txt", "requirements-recovery.txt")
              for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if re.match("[a-zA-Z]", line)]
    assert {canonical(name) for name in [*needed, "pytest", "schemathesis"]} <= found.keys()
    assert not {"ministack", "mypy", "pylint", "ruff"} & found.keys()
