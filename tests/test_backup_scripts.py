"""scripts/backup and scripts/restore write over nothing; tests/stories/test_backup.py has what they are for."""

import io
import tarfile
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


def _file(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = 3
    return member


def _link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_attachments_are_restored_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Debian 12 has Python 3.11.2, whose tarfile knows no filters.
    monkeypatch.delattr(tarfile.TarFile, "extractall")
    (tmp_path / "old" / "media").mkdir(parents=True)
    (tmp_path / "old" / "media" / "1").write_bytes(b"one")
    with tarfile.open(tmp_path / "media.tar", "w") as archive:
        archive.add(tmp_path / "old", arcname=".")
    restore._unpack(tmp_path / "media.tar", tmp_path / "new")
    assert (tmp_path / "new" / "media" / "1").read_bytes() == b"one"


@pytest.mark.parametrize("member", [_file("../elsewhere"), _file("/tmp/elsewhere"), _link("here", "/etc")])
def test_nothing_is_restored_that_leads_elsewhere(tmp_path: Path, member: tarfile.TarInfo) -> None:
    with tarfile.open(tmp_path / "media.tar", "w") as archive:
        archive.addfile(member, io.BytesIO(b"two"))
    with pytest.raises(backup.BackupError, match="no attachment"):
        restore._unpack(tmp_path / "media.tar", tmp_path / "new")
    assert not any((tmp_path / "new").iterdir())


@pytest.mark.django_db
def test_when_the_database_cannot_be_filled_the_next_try_finds_no_attachments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.MEDIA_ROOT = str(tmp_path / "new")
    (tmp_path / "backup.json").touch()
    with tarfile.open(tmp_path / "media.tar", "w") as archive:
        archive.addfile(_file("1"), io.BytesIO(b"one"))

    def fail(*_: Any) -> None:
        assert (tmp_path / "new" / "1").exists()
        raise backup.BackupError("psql failed, with 3: nothing was restored.")

    monkeypatch.setattr(restore, "_count_tables", lambda: 0)
    monkeypatch.setattr(restore, "_restore_database", fail)
    with pytest.raises(backup.BackupError):
        restore.restore(tmp_path)
    assert not (tmp_path / "new").exists()


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
