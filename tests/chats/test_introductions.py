"""What people are told first."""

import re

import pytest
from django.core.exceptions import ValidationError

from chats.models import Chat, Participant
from messaging.models import Message
from messaging.writing import describe_reader, write
from platforms.models import Platform
from platforms.templates import TemplateKind, validate_introduction
from tests.factories import make_chat

# 3GPP TS 23.038, without the characters that need an escape.
GSM_7 = re.compile(r"[A-Za-z0-9 \n\r@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ!\"#¤%&'()*+,\-./:;<=>?¡ÄÖÑÜ§¿äöñüà]*")

OURS = Platform(name="Rides")


def write_introduction(*, platform: Platform, name: str, counterpart: str) -> str:
    participant = Participant(position=1, name=name)
    reader = describe_reader(chat=Chat(platform=platform), participant=participant, counterpart=counterpart)
    return write(kind=TemplateKind.INTRODUCTION, reader=reader, platform=platform, templates=[])


@pytest.mark.parametrize(
    "name, counterpart, beginning",
    [
        ("Sara", "Omar", "Hi Sara, you can now text with Omar here: "),
        ("Sara", "", "Hi Sara, you can now text with the other person here: "),
        ("", "Omar", "You can now text with Omar here: "),
        ("", "", "You can now text with the other person here: "),
    ],
)
def test_our_wording_names_who_has_a_name_in_one_cheap_segment(name, counterpart, beginning):
    text = write_introduction(platform=OURS, name=name, counterpart=counterpart)
    assert text.startswith(beginning)
    assert len(text) <= 160
    assert GSM_7.fullmatch(text)
    validate_introduction(text)


def test_our_wording_fits_two_segments_with_the_longest_names():
    assert len(write_introduction(platform=OURS, name="x" * 40, counterpart="y" * 40)) <= 2 * 153


def test_each_person_is_texted_from_the_number_they_are_to_answer(platform, virtual_number):
    chat = make_chat(platform)
    queued = Message.objects.order_by("position")
    assert [(message.direction, message.kind, message.status) for message in queued] == [
        ("out", "introduction", "queued")
    ] * 2
    assert [message.participant for message in queued] == list(chat.participants.all())
    assert {message.virtual_number for message in queued} == {virtual_number}
    assert [message.body.split(" here")[0] for message in queued] == [
        "Hi Sara, you can now text with Omar",
        "Hi Omar, you can now text with Sara",
    ]


def test_braces_in_a_name_are_only_braces():
    rides = Platform(name="Rides", introduction="{name} meets {counterpart}. STOP to opt out.")
    text = write_introduction(platform=rides, name="{counterpart}", counterpart="{0.__class__}")
    assert text == "{counterpart} meets {0.__class__}. STOP to opt out."


@pytest.mark.parametrize(
    "template",
    [
        "Hello",
        "{nobody} STOP",
        "{} STOP",
        "{name STOP",
        "{name.upper} STOP",
        "{name!r} STOP",
        "STOP, or +1 415 555 0100",
    ],
)
def test_a_template_that_would_reach_people_wrong_is_refused(template):
    with pytest.raises(ValidationError):
        validate_introduction(template)
