"""Keys are changed while the service runs, and nothing starts without one that is needed."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError
from django.db import connection, connections
from django.utils import timezone

from chats.models import Chat, Participant
from messaging.keeping import rotation
from messaging.keeping.rotation import list_tables, look_at_everything, rotate_everything
from messaging.models import Approval, Attachment, OptOut, TextPart
from operators.models import SecondFactor
from platforms.keys import check_keys, require_keys
from platforms.models import ApprovalHook, EncryptionKey, WebhookEndpoint
from proxy_project.encryption import decrypt_bytes, find_fingerprint
from tests.factories import ALICE
from tests.keeping.helpers import make_key, read_everything, receive, run
from tests.messaging.media import JPEG, fetch
from tests.messaging.media import receive as receive_media
from tests.messaging.rows import read_inbound

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def story(api, platform, chat):
    """Something in every encrypted column, and a file."""
    platform.records_events = True
    platform.save()
    Chat.objects.filter(pk=chat.pk).update(metadata={"seat": "17B"})
    hook = {"platform": platform, "url": "https://example.com/e", "secret": "s", "previous_secret": "p"}
    WebhookEndpoint.objects.create(**hook)
    ApprovalHook.objects.create(**hook, default=ApprovalHook.Default.RELAY)
    SecondFactor.objects.create(user=User.objects.create_user("olga"), secret="JBSWY3DPEHPK3PXP")
    receive("the blue gate")
    [text] = read_inbound()
    Approval.objects.create(
        message=text, platform=platform, recipient=text.participant, position=1, status="blocked", reason="the gate"
    )
    receive("a stranger", to="12025550199")
    receive_media("gate.jpg", "later.jpg")
    fetch(**{"gate.jpg": JPEG, "later.jpg": JPEG})
    receive("STOP", from_="14155550125")
    receive("START", from_="14155550125")
    OptOut.objects.update(reason="by telephone")
    Participant.objects.filter(chat=chat).update(consent_text="Yes!")
    # Two parts of three, and a text with a picture that waits for its time.
    TextPart.objects.create(
        sender_digest=b"x", to_number="+12015550100", reference="7", total=3, part=1, gateway_id="p", from_number=ALICE,
        body="half a text",
    )  # fmt: skip
    at = (timezone.now() + timedelta(hours=1)).isoformat()
    later = {"text": "at nine", "media": ["https://example.com/gate.jpg"], "send_at": at}
    assert api.post(f"/chats/{chat.pk}/messages", later).status_code == 201
    api.post(f"/chats/{chat.pk}/end", headers={"Idempotency-Key": "one"})


def add_key(settings) -> tuple[str, str]:
    """Put a new key before the one there is; return the old and the new."""
    [old] = settings.ENCRYPTION_KEYS
    new = make_key()
    settings.ENCRYPTION_KEYS = [new, old]
    return old, new


def count_under(key: str) -> int:
    return look_at_everything().by_key[find_fingerprint(key)]


def test_everything_is_under_the_new_key_and_reads_as_before(settings, story):
    tables = {table.name: [column.name for column in table.columns] for table in list_tables()}
    for table in list_tables():
        for column in table.columns:
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT count(*) FROM {table.name} WHERE {column.read} NOT IN ('', '{{}}')")
                assert cursor.fetchone()[0], f"{table.name}.{column.name} is empty in this test"
    assert tables["chats_participant"] == ["name", "phone_number", "consent_text"]
    assert tables["chats_chat"] == ["metadata"]
    require_keys()
    before = read_everything()
    old, new = add_key(settings)
    require_keys()
    said = run("rotate_keys")
    assert f"The key {find_fingerprint(old)} is not needed any more" in said
    settings.ENCRYPTION_KEYS = [new]
    require_keys()
    assert read_everything() == before and "17B" in before
    for attachment in Attachment.objects.filter(status="stored"):
        assert decrypt_bytes(default_storage.open(attachment.file).read())[:3] == b"\xff\xd8\xff"
    assert len(default_storage.listdir("media")[1]) == Attachment.objects.filter(status="stored").count() == 2


def test_rotating_twice_changes_nothing_the_second_time(settings, story):
    add_key(settings)
    run("rotate_keys")
    before = Participant.objects.extra(select={"token": "phone_number"}).values_list("token", flat=True)
    tokens = list(before)
    assert "encrypted anew" not in run("rotate_keys")
    assert list(before.all()) == tokens


def test_a_rotation_that_was_killed_is_taken_up_where_it_stopped(settings, story, monkeypatch):
    old, _new = add_key(settings)
    go_through, seen = rotation._go_through_rows, []

    def be_killed(*given, **options):
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(1)
        go_through(*given, **options)

    monkeypatch.setattr(rotation, "_go_through_rows", be_killed)
    with pytest.raises(KeyboardInterrupt):
        run("rotate_keys", batch_size=1)
    monkeypatch.undo()
    assert count_under(old) > 0
    assert "is not needed any more" in run("rotate_keys")
    assert count_under(old) == 0


def test_a_row_without_its_key_is_reported_and_does_not_stop_the_others(settings, story, chat):
    old, _new = add_key(settings)
    lost = Fernet(make_key()).encrypt(b"lost").decode()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chats_participant SET name = %s WHERE position = 1", [lost])
    Attachment.objects.filter(position=0).update(file=default_storage.save("media/x", ContentFile(lost.encode())))
    with pytest.raises(CommandError, match="cannot be read"):
        run("rotate_keys")
    tally = look_at_everything()
    assert tally.unreadable == {"chats_participant.name": 1, "files": 1}
    assert tally.by_key[find_fingerprint(old)] == 0
    # What reads it may come back.
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM chats_participant WHERE position = 1")
        assert cursor.fetchone() == (lost,)


def test_what_was_kept_in_clear_is_encrypted(settings, story, chat):
    with connection.cursor() as cursor:
        cursor.execute("""UPDATE chats_chat SET metadata = '{"driver": "Omar"}'""")
    chat.refresh_from_db()
    assert chat.metadata == {"driver": "Omar"}
    run("rotate_keys")
    with connection.cursor() as cursor:
        cursor.execute("SELECT metadata::text FROM chats_chat")
        assert "Omar" not in cursor.fetchone()[0]
    chat.refresh_from_db()
    assert chat.metadata == {"driver": "Omar"}


def test_checking_says_what_is_left_and_changes_nothing(settings, story):
    old, new = add_key(settings)
    said = run("rotate_keys", check=True)
    assert f"{find_fingerprint(new)}: 0 values" in said and f"{find_fingerprint(old)}: " in said
    assert count_under(new) == 0


@pytest.mark.parametrize("stray", [True, False])
def test_files_that_a_crash_left_are_deleted_after_a_day(settings, story, monkeypatch, stray):
    default_storage.save("media/stray", ContentFile(b"x"))
    if stray:
        monkeypatch.setattr(rotation, "_STRAY_AFTER", -rotation._STRAY_AFTER)
    run("rotate_keys")
    names = default_storage.listdir("media")[1]
    assert ("stray" in names) is not stray and len(names) == 2 + (not stray)


def test_a_missing_key_is_named_by_its_fingerprint_and_nothing_starts(settings, story):
    require_keys()
    old, new = add_key(settings)
    require_keys()
    settings.ENCRYPTION_KEYS = [new]
    with pytest.raises(ImproperlyConfigured, match=find_fingerprint(old)) as refused:
        require_keys()
    assert old not in str(refused.value)
    [error] = check_keys()
    assert error.id == "platforms.E001" and find_fingerprint(old) in error.msg


def test_a_key_that_was_never_noted_is_missed_by_what_was_stored_last(settings, story):
    settings.ENCRYPTION_KEYS = [make_key()]
    with pytest.raises(ImproperlyConfigured, match="stored last"):
        require_keys()
    assert not EncryptionKey.objects.exists()


def test_a_key_that_is_lost_can_be_given_up(settings, story):
    require_keys()
    old, new = add_key(settings)
    with pytest.raises(CommandError, match="not lost"):
        run("rotate_keys", lost=find_fingerprint(old))
    with pytest.raises(CommandError, match="No key that is needed"):
        run("rotate_keys", lost="0" * 16)
    settings.ENCRYPTION_KEYS = [new]
    run("rotate_keys", lost=find_fingerprint(old))
    require_keys()
    # Found again, it is as good as ever.
    settings.ENCRYPTION_KEYS = [new, old]
    require_keys()
    assert count_under(old) > 0


@pytest.mark.slow
def test_web_sender_and_worker_refuse_to_start(settings, transactional_db):
    EncryptionKey.objects.create(fingerprint="0123456789abcdef")
    database = connection.settings_dict
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + "/" + database["NAME"]
    query = os.environ["DATABASE_URL"].partition("?")[2]
    environment = {**os.environ, "DATABASE_URL": f"{url}?{query}" if query else url, "PORT": "0"}
    commands = (
        [sys.executable, "manage.py", "send_texts"],
        [sys.executable, "manage.py", "procrastinate", "worker"],
        [str(Path(sys.executable).parent / "gunicorn"), "--workers", "1", "proxy_project.asgi"],
        [sys.executable, "manage.py", "check"],
    )
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for command in commands
    ]
    for process in running:
        said, _ = process.communicate(timeout=60)
        assert process.returncode != 0
        assert b"lacks the key with the fingerprint 0123456789abcdef" in said


def test_two_rotations_at_once_are_one(settings, transactional_db):
    with rotation._alone():
        refused = []

        def rotate():
            try:
                run("rotate_keys")
            except CommandError as error:
                refused.append(str(error))
            finally:
                connections.close_all()

        thread = Thread(target=rotate)
        thread.start()
        thread.join()
    assert "Another rotate_keys is at work" in refused[0]


def test_a_row_that_changes_meanwhile_keeps_the_change(settings, story, chat, monkeypatch):
    old, _new = add_key(settings)
    renew, todo = rotation._renew, ["once"]

    def change_it_first(table, column, token, keyring, tally):
        if table.name == "chats_participant" and todo:
            todo.clear()
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE chats_participant SET name = %s", [Fernet(old).encrypt(b"Somebody else").decode()]
                )
        return renew(table, column, token, keyring, tally)

    monkeypatch.setattr(rotation, "_renew", change_it_first)
    run("rotate_keys")
    assert {person.name for person in Participant.objects.all()} == {"Somebody else"}
    assert count_under(old) == 0


def test_a_text_that_waits_while_keys_change_is_sent_and_an_old_process_is_found_out(settings, story):
    old, _new = add_key(settings)
    tally = rotate_everything(say=lambda _: None)
    assert tally.left == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messaging_message SET body = %s", [Fernet(old).encrypt(b"by an old process").decode()])
    assert look_at_everything().left > 0
