"""What people are told of removed, stopped and reported texts: in their language, in their platform's words."""

import pytest
from django.utils import timezone

from messaging.wording import BUILT_IN
from platforms.models import Template
from tests.factories import OMAR
from tests.messaging.payloads import sms
from tests.messaging.rows import Kind, Status, read_answers, read_inbound, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db

NUMBER = "me: 415 555 0199"


@pytest.fixture(autouse=True)
def rules(platform):
    platform.phone_numbers_in_texts = platform.emails_in_texts = "redact"
    platform.links_in_texts = "block"
    platform.save()


def text(client, body: str, from_number: str | None = None) -> None:
    fields = {"from_": from_number[1:]} if from_number else {}
    assert signed_post(client, INBOUND, sms(text=body, **fields)).status_code == 200


def test_writer_and_reader_have_each_their_language(client, chat, sara, omar):
    chat.participants.filter(pk=sara.pk).update(language="es-MX")
    text(client, f"{NUMBER}, sara@example.com")
    [relay] = read_outbound(Kind.RELAY)
    assert relay.body == "me: [phone number removed], [e-mail address removed]"
    assert read_answers() == [
        (sara.pk, "Por privacidad, su mensaje se ha reenviado sin un correo electronico y un telefono que llevaba.")
    ]


def test_the_mark_is_in_the_readers_language(client, chat, omar):
    chat.participants.filter(pk=omar.pk).update(language="es")
    text(client, NUMBER)
    [relay] = read_outbound(Kind.RELAY)
    assert relay.body == "me: [telefono quitado]"


def test_a_platform_has_words_of_its_own(client, chat, platform, sara):
    own = {
        "disclosure_removed": "{platform}: {found} ist weg, {name}.",
        "disclosure_blocked": "{platform}: {found} geht nicht.",
        "removed_phone": "[weg]",
        "reported": "Danke.",
    }
    for kind, words in own.items():
        Template.objects.create(platform=platform, kind=kind, language="de", text=words)
    chat.participants.update(language="de")
    text(client, NUMBER)
    text(client, "https://example.com/sara")
    text(client, "REPORT")
    assert [row.body for row in read_outbound(Kind.RELAY)] == ["me: [weg]"]
    assert [words for _, words in read_answers()] == [
        f"{platform.name}: a phone number ist weg, {sara.name}.",
        f"{platform.name}: a link geht nicht.",
        "Danke.",
    ]


def test_who_has_opted_out_is_not_told_that_their_report_was_taken(client, chat, omar):
    text(client, "STOP")
    text(client, "REPORT")
    text(client, "STOP", OMAR)
    assert [row.status for row in read_inbound()] == [Status.KEYWORD] * 3
    chat.refresh_from_db()
    omar.refresh_from_db()
    assert omar.muted_at


@pytest.mark.parametrize("who_is", ["muted_at", "blocked_at"])
def test_who_is_muted_or_blocked_can_still_opt_out(client, chat, sara, who_is):
    chat.participants.filter(pk=sara.pk).update(**{who_is: timezone.now()})
    text(client, "STOP")
    assert sorted(row.kind for row in read_outbound()) == [Kind.AUTO_REPLY, Kind.CONSENT]


def test_every_language_says_all_of_it():
    assert len({frozenset(wordings) for wordings in BUILT_IN.values()}) == 1
