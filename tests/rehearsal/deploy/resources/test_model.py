"""Expressions and packages."""

import io
import zipfile
from pathlib import Path

import pulumi
import pytest

from rehearsal.deploy.resources.model import Template, evaluate


def test_expressions() -> None:
    scope = {"in": {"name": "n"}, "region": "r", "arn": "a:b:c"}
    assert evaluate("in.name", scope) == "n"
    assert evaluate("in.absent.deeper", scope) is None
    assert evaluate("split(arn, ':')[2]", scope) == "c"
    assert evaluate(Template("{region}/{in[name]}"), scope) == "r/n"


def test_a_package_holds_files_and_texts(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("x = 1")
    assets: dict[str, pulumi.Asset | pulumi.Archive] = {
        "payments/code.py": pulumi.FileAsset(tmp_path / "code.py"), "note": pulumi.StringAsset("hello"),
        "replaced": pulumi.StringAsset("old")}
    content = evaluate("zip(code, files)", {"code": pulumi.AssetArchive(assets), "files": {
        "replaced": "new", "other": "x"}})
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        assert {name: package.read(name) for name in package.namelist()} == {
            "payments/code.py": b"x = 1", "note": b"hello", "replaced": b"new"}


@pytest.mark.parametrize(
    "archive", [pulumi.FileArchive("x.zip"), pulumi.AssetArchive({"a": pulumi.RemoteAsset("http://127.0.0.1/x")})]
)
def test_a_package_of_anything_else_is_refused(archive: pulumi.Archive) -> None:
    with pytest.raises(TypeError, match=r"cannot package (RemoteAsset|FileArchive)"):
        evaluate("zip(code, files)", {"code": archive, "files": {}})
