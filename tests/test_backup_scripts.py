"""scripts/backup and scripts/restore write over nothing; tests/stories/test_backup.py has what they are for."""

from pathlib import Path
from typing import Any

import pytest

from scripts import backup, restore


def test_a_backup_is_never_written_over_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "database.dump").touch()
    assert backup.main([str(tmp_path)]) == 1
    assert "is not empty: a backup is never written over another." in capsys.readouterr().err


@pytest.mark.django_db
def test_a_backup_is_restored_into_an_empty_database_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    (tmp_path / "backup.json").touch()
    assert restore.main([str(tmp_path)]) == 1
    assert "The database is not empty" in capsys.readouterr().err


def test_attachments_are_restored_into_an_empty_directory_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    for name in ("backup.json", "media.tar"):
        (tmp_path / name).touch()
    assert restore.main([str(tmp_path)]) == 1
    assert "MEDIA_ROOT has to be a new directory." in capsys.readouterr().err


def test_half_a_backup_is_not_restored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "database.dump").touch()
    assert restore.main([str(tmp_path)]) == 1
    assert "backup.json is missing" in capsys.readouterr().err


def test_without_its_programs_a_backup_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert backup.main([str(tmp_path / "new")]) == 1
    assert "pg_dump is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("script", [backup, restore])
def test_without_a_directory_they_say_how_they_are_called(script, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main([]) == 2
    assert "DIRECTORY" in capsys.readouterr().err
