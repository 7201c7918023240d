"""Runs at the same time have folders of their own, and leave nothing."""

from pathlib import Path

import pytest

from rehearsal.errors import ProjectError
from rehearsal.run_folder import require_writable, run_folder


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    with run_folder(tmp_path / "runs") as one, run_folder(tmp_path / "runs") as other:
        assert one != other
        assert one.is_dir()
        assert other.is_dir()
    assert list((tmp_path / "runs").iterdir()) == []


def test_only_one_run_has_a_name(tmp_path: Path) -> None:
    with (run_folder(tmp_path, "sandbox") as folder, pytest.raises(ProjectError, match="of that name is under way"),
          run_folder(tmp_path, "sandbox")):
        pass
    assert not folder.exists()


def test_what_a_killed_run_has_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "outputs.json").write_text("{}")
    with run_folder(tmp_path, "sandbox") as folder:
        assert list(folder.iterdir()) == []


def test_the_folder_is_removed_if_the_run_is_interrupted(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for use in (lambda path: run_folder(path).__enter__(), require_writable):
        with pytest.raises(ProjectError, match="file"):
            use(tmp_path / "file" / "in")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable(tmp_path / "new" / "one")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ProjectError, match="new: cannot be written"):
        require_writable(tmp_path / "new")
