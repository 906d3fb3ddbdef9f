"""Somebody asks to be forgotten: nothing of them is left, and everybody else's chats are as they were."""

import json
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError
from django.utils import timezone

from audit.models import AuditEntry
from chats.models import Chat, Erasure, Participant
from chats.services import end_chat
from messaging.claims import claim_texts
from messaging.gateways import SendError
from messaging.models import Message, TextPart
from platforms.models import Event, KeptAnswer
from proxy_project.encryption import digest_number
from tests.chats.helpers import body, errors
from tests.factories import ALICE, BOB, OMAR, SARA, make_chat, make_pool, make_virtual_number
from tests.keeping.helpers import assert_absent, dump, read_everything, receive, run, spellings
from tests.messaging.media import JPEG, fetch
from tests.messaging.media import receive as receive_media
from tests.messaging.rows import make_queued, read_inbound, read_outbound

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]


@pytest.fixture
def told(platform):
    """The platform records events."""
    platform.records_events = True
    platform.save()


def settle() -> None:
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)


def test_nothing_of_a_person_is_left_and_what_the_other_wrote_stays(told, api, virtual_number, other_platform):
    started = api.post(
        "/chats",
        {
            "participants": [
                {"phone_number": SARA, "name": "Sarabeth"},
                {"phone_number": OMAR, "name": "Omar"},
            ],
            "metadata": {"driver": "Sarabeth"},
        },
        headers={"Idempotency-Key": "one"},
    ).json()
    receive("the blue gate, call me at (415) 555-0123")
    receive("fine, Sarabeth, I call 415-555-0123 at noon", from_=OMAR[1:])
    receive_media("gate.jpg", caption="this gate")
    fetch(**{"gate.jpg": JPEG})
    settle()
    rows = Message.objects.count()
    assert "Sarabeth" in read_everything() and len(default_storage.listdir("media")[1]) == 1

    answer = run("erase_person", SARA)
    assert answer.startswith("Erased: 1 chats, ") and "1 files" in answer

    left = read_everything() + dump()
    assert_absent(left, "Sarabeth", "blue gate", "this gate", digest_number(SARA).hex()[:32], *spellings(SARA))
    assert default_storage.listdir("media")[1] == []
    assert Message.objects.count() >= rows
    chat = Chat.objects.get(pk=started["id"])
    assert (chat.status, chat.end_reason, chat.metadata) == ("ended", "erased", {})
    bodies = [row.body for row in read_inbound()]
    assert bodies == ["", "fine, •••, I call ••• at noon", ""]
    assert {person.name for person in chat.participants.all()} == {"", "Omar"}
    # The answer that is kept for a repeat, and what GET shows, tell of the other one only.
    again = api.get(f"/chats/{chat.pk}").json()
    assert [person["name"] for person in again["participants"]] == ["", "Omar"]
    assert again["participants"][0]["phone_number"] == ""
    assert '"Omar"' in KeptAnswer.objects.get().body
    assert [event.type for event in Event.objects.order_by("position")][-1] == "chat.ended"


def test_it_can_be_asked_for_again(api, chat):
    assert api.post("/erasures", {"phone_number": "+1 (415) 555-0123"}).json()["chats"] == 1
    assert api.post("/erasures", {"phone_number": SARA}).json() == {"chats": 0, "texts": 0, "files": 0}
    assert Erasure.objects.count() == 1


def test_a_platform_erases_from_its_own_chats_only(api, chat, other_platform):
    make_virtual_number("+14155550101", platform=other_platform)
    theirs = make_chat(other_platform, (SARA, ALICE))
    receive("I am nobody's", to="12025550199")
    assert api.post("/erasures", {"phone_number": SARA}).json()["chats"] == 1
    assert Chat.objects.get(pk=theirs.pk).status == "open"
    assert theirs.participants.get(position=1).phone_number == SARA
    assert read_inbound()[-1].stranger_number == SARA
    assert run("erase_person", SARA).startswith("Erased: 1 chats, ")
    assert_absent(read_everything(), *spellings(SARA))


@pytest.mark.parametrize("number", ["12", "4155550123", "+1415555012345678", "", None, ["+14155550123"]])
def test_what_is_no_number_is_refused_and_not_quoted(api, number):
    response = api.post("/erasures", {"phone_number": number})
    assert response.status_code == 400
    assert errors(response)[0][1] == "phone_number"
    assert "4155550123" not in response.content.decode()


def test_the_command_reads_the_number_from_standard_input(chat, monkeypatch, tmp_path):
    file = tmp_path / "number"
    file.write_text(f"{SARA}\n")
    with file.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run("erase_person").startswith("Erased: 1 chats")
    with pytest.raises(CommandError, match="valid phone number"):
        run("erase_person", "+1415555")


def test_an_erased_chat_cannot_be_reopened_and_its_reference_is_not_given_again(api, virtual_number):
    chat = api.post("/chats", body(reference="r")).json()
    api.post("/erasures", {"phone_number": SARA})
    response = api.post(f"/chats/{chat['id']}/reopen")
    assert (response.status_code, errors(response)) == (409, [("chat_erased", None)])
    assert errors(api.post("/chats", body(reference="r"))) == [("reference_taken", "reference")]
    assert api.get(f"/chats/{chat['id']}/messages").status_code == 200


def test_they_can_chat_again_and_are_not_erased_twice(api, chat):
    api.post("/erasures", {"phone_number": SARA})
    make_pool(1)
    again = api.post("/chats", body())
    assert again.status_code == 201
    run("reapply_erasures")
    assert Chat.objects.get(pk=again.json()["id"]).status == "open"


@pytest.mark.django_db(transaction=True)
def test_what_waits_to_be_sent_in_their_chats_is_not_sent(chat, sara, omar):
    receive("to be passed on")
    make_queued(omar, "from the service")
    on_the_wire = make_queued(sara, "on the wire", status="sending")
    run("erase_person", SARA)
    assert {row.status for row in read_outbound()} == {"failed", "sending"}
    # Its sender comes back without a result.
    Message.objects.filter(pk=on_the_wire.pk).update(status="queued")
    [claim] = claim_texts(limit=10)
    with pytest.raises(SendError) as refused:
        claim.decrypt_text()
    assert (refused.value.code, refused.value.outcome.value) == ("erased", "never")


def test_strangers_and_parts_of_texts_are_erased(chat, virtual_number, client, settings):
    settings.STRANGER_REPLY = "We do not know you."
    receive("who are you, this is 415 555 0125", from_=ALICE[1:])
    key = {"sender_digest": digest_number(ALICE), "to_number": virtual_number.number, "reference": "7", "total": 2}
    TextPart.objects.create(**key, part=1, gateway_id="p1", from_number=ALICE, body="half a text")
    TextPart.objects.create(**key, part=2, gateway_id="p2", joined_at=timezone.now())
    run("erase_person", ALICE)
    left = read_everything() + dump()
    assert_absent(left, "who are you, this is 415 555 0125", "half a text", *spellings(ALICE))
    assert digest_number(ALICE).hex()[:32] not in left.replace(Erasure.objects.get().phone_digest.hex(), "")
    # The carrier may bring it again for a day.
    assert TextPart.objects.get().gateway_id == "p2"
    assert [row.status for row in read_outbound()] == ["failed"]


def test_somebody_who_was_replaced_is_erased_too(api, chat, omar):
    make_pool(1)
    replaced = api.post(f"/chats/{chat.pk}/participants/{omar.pk}/replace", {"phone_number": BOB, "name": "Bob"})
    assert replaced.status_code == 200
    run("erase_person", OMAR)
    assert_absent(read_everything(), "Omar", *spellings(OMAR))
    assert {person.name for person in Participant.objects.all()} == {"Sara", "Bob", ""}


def test_a_backup_brings_nobody_back(api, chat, tmp_path: Path):
    ended = make_chat(chat.platform, (ALICE, BOB), names=("Alice", "Bob"))
    end_chat(chat_id=ended.pk, reason="test", now=timezone.now())
    receive("remember me")
    run("erase_person", SARA)
    file = tmp_path / "erasures"
    assert "1 erasures" in run("reapply_erasures", save=str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert_absent(file.read_text(), *spellings(SARA))
    # The backup is from before: the rows are back, and the list of erasures is not there.
    Erasure.objects.all().delete()
    person = chat.participants.get(position=1)
    Participant.objects.filter(pk=person.pk).update(name="Sara", phone_number=SARA, phone_digest=digest_number(SARA))
    Message.objects.update(body="remember me", erased_at=None)

    run("reapply_erasures", str(file))
    assert_absent(read_everything(), "Sara", *spellings(SARA))
    assert {row.body for row in Message.objects.filter(chat=chat)} == {""}
    assert ended.participants.get(position=1).phone_number == ALICE


def test_a_list_that_is_none_is_refused(db, tmp_path):
    file = tmp_path / "list"
    file.write_text("nonsense\n")
    for name in (file, tmp_path / "missing"):
        with pytest.raises(CommandError):
            run("reapply_erasures", str(name))


def test_a_person_is_exported_into_a_file_that_nobody_else_reads(chat, virtual_number, tmp_path):
    receive("my text")
    receive("for my eyes", from_=OMAR[1:])
    receive("to nobody", to="12025550199")
    file = tmp_path / "sara.json"
    run("export_person", str(file), SARA)
    assert file.stat().st_mode & 0o777 == 0o600
    found = json.loads(file.read_text())
    [theirs] = found["chats"]
    assert (theirs["phone_number"], theirs["name"], theirs["platform"]) == (SARA, "Sara", "Rides")
    assert [(text["direction"], text["text"]) for text in theirs["texts"]] == [
        ("in", "my text"),
        ("out", "for my eyes"),
    ]
    assert [text["text"] for text in found["texts_outside_of_chats"]] == ["to nobody"]
    assert_absent(file.read_text(), *spellings(OMAR))
    with pytest.raises(CommandError, match="File exists"):
        run("export_person", str(file), SARA)


def test_no_log_line_tells_who_was_erased_or_exported(chat, api, tmp_path, caplog, capfd):
    caplog.set_level("DEBUG")
    run("export_person", str(tmp_path / "x"), SARA)
    api.post("/erasures", {"phone_number": SARA})
    run("erase_person", OMAR)
    shown = caplog.text + "".join(capfd.readouterr())
    recorded = AuditEntry.objects.order_by("at", "id").values_list("action", "actor_kind")
    assert list(recorded) == [
        ("exported_person", "command"),
        ("erased_person", "platform"),
        ("erased_person", "command"),
    ]
    assert_absent(shown, "Sara", "Omar", *spellings(SARA), *spellings(OMAR))
