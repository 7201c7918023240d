"""Which package may import which, and that each class name is used once; read from the sources."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("lib", "payments", "policy", "recovery", "rehearsal", "simulator", "tools")
PULUMI = {"pulumi", "pulumi_aws", "pulumi_policy", "pulumi_random"}
FORBIDDEN = {
    "payments": {*PULUMI, "lib", "policy", "recovery", "rehearsal", "simulator"},
    "lib": {"payments", "policy", "recovery", "rehearsal", "simulator"},
    "policy": {"payments", "recovery", "rehearsal", "simulator", "tools"},
    "recovery": {*PULUMI, "lib", "policy", "rehearsal", "simulator"},
    "rehearsal": {"policy"},
    "simulator": {*PULUMI, "lib", "policy", "rehearsal"},
    "tools": {"policy", "simulator"},
}


@cache
def statements(path: Path) -> list[ast.AST]:
    """A file's statements, however deep; not their expressions, which are most of a syntax tree."""
    found: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    for node in found:  # which grows meanwhile
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            found.extend(getattr(node, part, ()))
    return found


def sources(folder: Path) -> Iterator[tuple[Path, list[ast.AST]]]:
    """Each Python file under `folder` with its statements."""
    return ((path, statements(path)) for path in sorted(folder.rglob("*.py")))


def imports(package: Path) -> Iterator[tuple[str, str]]:
    """Each import under `package`, wherever in a file it stands: (file:line, the top-level package it names)."""
    for path, nodes in sources(package):
        for node in nodes:
            match node:
                case ast.Import(names=aliases):
                    names = [alias.name for alias in aliases]
                case ast.ImportFrom(module=str() as name, level=0):
                    names = [name]
                case _:
                    continue
            for name in names:
                yield f"{path}:{node.lineno}", name.partition(".")[0]


def packages(root: Path) -> dict[str, set[str]]:
    """The packages of the project, each with those of the project that it imports; tests may import all of them."""
    found = [init.parent for init in sorted(root.glob("*/__init__.py"))]
    names = {package.name for package in found}
    return {package.name: (names if package.name == "tests" else {name for _, name in imports(package)} & names)
            - {package.name} for package in found}


def violations(root: Path) -> list[str]:
    """Each import that `FORBIDDEN` forbids, as `file:line imports package`."""
    return [
        f"{where} imports {name}"
        for package, forbidden in FORBIDDEN.items()
        for where, name in imports(root / package)
        if name in forbidden
    ]


def cycle(root: Path) -> list[str]:
    """Packages that import each other in a cycle, the first one again at the end; empty if there is none."""
    try:
        TopologicalSorter(packages(root)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def write(root: Path, package: str, source: str) -> None:
    """Make a package of one module."""
    (root / package).mkdir()
    (root / package / "__init__.py").write_text("")
    (root / package / "module.py").write_text(source)


def test_a_layer_imports_nothing_that_it_must_not_know() -> None:
    assert violations(ROOT) == []


def test_the_contract_imports_nothing_but_the_standard_library() -> None:
    names = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
             for node in statements(ROOT / "contract.py") if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {str(name).partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_packages_do_not_import_each_other_in_a_cycle() -> None:
    assert packages(ROOT).keys() >= {"lib", "payments", "recovery", "rehearsal", "tests"}
    assert cycle(ROOT) == []


def test_payments_needs_only_what_the_lambda_runtime_has_or_the_package_brings() -> None:
    runtime = sys.stdlib_module_names | {"boto3", "botocore", "contract", "payments", "pg8000"}
    assert [f"{where} imports {name}" for where, name in imports(ROOT / "payments") if name not in runtime] == []


def test_only_the_command_line_of_recovery_needs_more_than_the_lambda_runtime_has() -> None:
    runtime = sys.stdlib_module_names | {"boto3", "botocore", "contract", "payments", "recovery"}
    more = {(Path(where).name.partition(":")[0], name) for where, name in imports(ROOT / "recovery")
            if name not in runtime}
    assert more == {("cli.py", "rich"), ("cli.py", "typer"), ("terminal.py", "rich"), ("terminal.py", "typer"),
                    ("name_servers.py", "dns"), ("page.py", "jinja2")}


@pytest.mark.parametrize("package", ["payments", "recovery"])
@pytest.mark.parametrize(
    "source",
    ["import pulumi_aws.s3", "from lib.names import Names", "def late():\n    from rehearsal import engine"],
)
def test_a_forbidden_import_is_found(tmp_path: Path, package: str, source: str) -> None:
    write(tmp_path, package, source)
    assert len(violations(tmp_path)) == 1


def test_an_import_inside_a_package_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, "payments", "import json\nfrom payments.stores import Table\nfrom .lib import helper")
    assert violations(tmp_path) == []


def test_a_cycle_is_found(tmp_path: Path) -> None:
    write(tmp_path, "one", "import two")
    write(tmp_path, "two", "from three.module import x")
    write(tmp_path, "three", "import one")
    assert sorted(set(cycle(tmp_path))) == ["one", "three", "two"]


def repeated_classes(root: Path) -> dict[str, list[str]]:
    """The class names that are used more than once, each with its files."""
    places: dict[str, list[str]] = {}
    contract = root / "contract.py"
    files = [(contract, statements(contract))] if contract.is_file() else []
    for path, nodes in chain(files, *(sources(root / package) for package in PACKAGES)):
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path.relative_to(root).as_posix())
    return {name: paths for name, paths in places.items() if len(paths) > 1}


def test_each_class_name_is_used_once() -> None:
    assert repeated_classes(ROOT) == {}


def test_a_repeated_class_name_is_found(tmp_path: Path) -> None:
    write(tmp_path, "lib", "class Plan: ...\nclass Network: ...")
    write(tmp_path, "recovery", "def plan():\n    class Plan: ...")
    assert repeated_classes(tmp_path) == {"Plan": ["lib/module.py", "recovery/module.py"]}
    (tmp_path / "contract.py").write_text("class Network: ...", encoding="utf-8")
    assert repeated_classes(tmp_path)["Network"] == ["contract.py", "lib/module.py"]


def services_in_use(root: Path) -> set[str]:
    """Modules of pulumi_aws that the project names, always as `aws.NAME`: ruff refuses another form of import."""
    texts = [path.read_text(encoding="utf-8") for package in packages(root) for path in (root / package).rglob("*.py")]
    return {name for text in texts if "import pulumi_aws as aws" in text
            for name in re.findall(r"\baws\.([a-z0-9_]+)\b(?!\.com)", text)}


def test_mypy_reads_every_service_of_pulumi_aws_in_use() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["overrides"]
    listed = {name for entry in overrides if entry.get("follow_imports") == "normal" for name in entry["module"]}
    read = {name.removeprefix("pulumi_aws.").removesuffix(".*") for name in listed}
    assert services_in_use(ROOT) - read == set()
