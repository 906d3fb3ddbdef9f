"""What is said about STOP and its kin, in the language of who reads it and in the words of their platform."""

import pytest

from platforms.models import Platform, Template
from tests.factories import BOB, OMAR, SARA, make_chat, make_platform
from tests.messaging.consent.helpers import send_all, text
from tests.messaging.rows import forget_introductions

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform(db):
    return make_platform("Rides", language="es")


@pytest.fixture
def chat(platform, virtual_number):
    chat = make_chat(platform)
    forget_introductions()
    return chat


def say(kind: str, own: str, language: str = "es") -> None:
    Template.objects.create(platform=Platform.objects.get(), kind=kind, language=language, text=own)


def test_answers_and_what_counterparts_are_told_are_in_their_language(chat):
    chat.participants.filter(position=2).update(language="en")
    text("STOP")
    assert sorted(send_all()) == sorted(
        [
            (
                SARA,
                "Rides: se ha dado de baja y no recibe mas mensajes de este numero. Responda START para recibirlos.",
            ),
            (OMAR, "The other person gets no texts here any more, so yours are not passed on."),
        ]
    )
    text("START")
    assert sorted(words[:30] for _, words in send_all()) == [
        "Rides: recibe de nuevo mensaje",
        "The other person gets texts he",
    ]


def test_they_are_in_the_platforms_words(chat):
    say("help", "{platform} ayuda a {name} por {reference}. STOP para la baja.")
    say("opted_out", "Adios, {name}. START para volver.")
    say("counterpart_opted_out", "{counterpart} no quiere mas.")
    text("HELP")
    text("STOP")
    assert sorted(send_all()) == sorted(
        [
            (SARA, "Rides ayuda a Sara por . STOP para la baja."),
            (SARA, "Adios, Sara. START para volver."),
            (OMAR, "Sara no quiere mas."),
        ]
    )


def test_a_stranger_is_answered_by_whose_number_it_is(platform, virtual_number):
    type(virtual_number).objects.update(platform=platform)
    say("help", "{platform}: no esta en ningun chat.")
    text("HELP", BOB)
    text("STOP", BOB)
    assert [words[:34] for _, words in send_all()] == [
        "Rides: no esta en ningun chat.",
        "Rides: se ha dado de baja y no rec",
    ]


def test_on_a_shared_number_a_stranger_is_answered_by_the_service(virtual_number):
    text("HELP", BOB)
    [(_, words)] = send_all()
    assert words.startswith("Masked texting: texts to this number are passed on")


@pytest.mark.parametrize(
    ("kind", "own", "asked"),
    [
        (None, "", "Hola Sara, Omar quiere escribirle por aqui. Su telefono queda en privado. "
                   "Responda YES para aceptar, STOP para no recibir nada."),
        ("introduction", "Soy {platform}. STOP: baja.", "Soy Rides. STOP: baja. Responda YES para aceptar."),
        ("introduction", "Soy {platform}. YES o STOP.", "Soy Rides. YES o STOP."),
        ("consent_request", "{name}: YES o STOP?", "Sara: YES o STOP?"),
    ],
)  # fmt: skip
def test_people_are_asked_in_their_language(platform, virtual_number, kind, own, asked):
    Platform.objects.update(asks_confirmation=True)
    platform.refresh_from_db()
    if kind:
        say(kind, own)
    make_chat(platform)
    assert send_all()[0] == (SARA, asked)


def test_who_is_asked_first_may_be_asked_in_words_for_that_only(platform, virtual_number):
    say("consent_request", "{name}: YES o STOP?")
    make_chat(platform)
    assert send_all()[0][1].startswith("Hola Sara, ya puede escribirse con Omar")
