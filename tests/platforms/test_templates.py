"""What people are texted by the service: in their language, and in the words of their platform."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chats.models import Chat
from chats.services import end_expired_chats
from messaging import wording
from messaging.models import Message
from messaging.segments import measure
from messaging.wording import BUILT_IN, NAMELESS, name_found
from platforms.models import Platform, Template
from platforms.templates import TemplateKind, find_fields, list_fields, validate_template
from tests.chats.helpers import body, errors
from tests.factories import ALICE, OMAR, SARA
from tests.messaging.media import NEVER, fetch, receive
from tests.messaging.payloads import sms
from tests.messaging.rows import Kind, read_answers, read_outbound
from tests.messaging.samples import VCARD
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db

INTRODUCTION = "{platform}: hi {name}, text {counterpart} here. STOP ends it."


def put(api, kind, text, **fields):
    return api.put("/templates", {"kind": kind, "text": text, **fields})


def save(api, kind, text, **fields) -> str:
    response = put(api, kind, text, **fields)
    assert response.status_code == 200, response.content
    saved: str = response.json()["id"]
    return saved


def start(api, first="", second="", names=("Sara", "Omar"), **fields) -> Chat:
    people = [
        {"phone_number": number, "name": name, **({"language": language} if language else {})}
        for number, name, language in zip((SARA, OMAR), names, (first, second), strict=True)
    ]
    response = api.post("/chats", {"participants": people, **fields})
    assert response.status_code == 201, response.content
    return Chat.objects.get(pk=response.json()["id"])


def told(*kinds: Kind) -> list[str]:
    return [row.body for row in read_outbound(*kinds)]


def text(**fields):
    assert signed_post(Client(), INBOUND, sms(**fields)).status_code == 200


class TestTheServicesOwnWordings:
    @pytest.mark.parametrize("language", BUILT_IN)
    def test_are_complete_valid_and_cheap(self, language):
        assert BUILT_IN[language].keys() == set(TemplateKind)
        for kind, wordings in BUILT_IN[language].items():
            for each in wordings:
                validate_template(kind, each)
                names = NAMELESS[language] | {
                    "name": "Sara",
                    "counterpart": "Omar",
                    "former": "Bob",
                    "platform": "Taxi 24",
                    "found": name_found(["handle", "link"], language),
                }
                measured = measure(re.sub(r"{(\w+)}", lambda match, names=names: names[match[1]], each))
                assert (measured.encoding, measured.segments) == ("GSM-7", 1), each
            if wordings and not kind.is_mark:
                assert not find_fields(wordings[-1]), "The last one must say something when nothing is known."

    def test_each_person_is_introduced_in_their_own_language(self, api, virtual_number):
        start(api, "es", "en")
        spanish, english = told(Kind.INTRODUCTION)
        assert spanish.startswith("Hola Sara, ya puede escribirse con Omar por aqui")
        assert english.startswith("Hi Omar, you can now text with Sara here")

    @pytest.mark.parametrize(
        ("tag", "greeting"), [("es-MX", "Hola"), ("es_mx", "Hola"), ("ES", "Hola"), ("de", "Hi"), ("", "Hi")]
    )
    def test_a_language_that_is_not_there_is_the_next_best(self, api, virtual_number, tag, greeting):
        start(api, tag)
        assert told(Kind.INTRODUCTION)[0].startswith(f"{greeting} Sara")

    def test_without_a_language_it_is_the_platforms(self, api, platform, virtual_number):
        Platform.objects.update(language="es")
        start(api, "", "en")
        assert [introduction[:4] for introduction in told(Kind.INTRODUCTION)] == ["Hola", "Hi O"]

    def test_answers_marks_and_announcements_are_in_the_readers_language(self, api, virtual_number, media_storage):
        chat = start(api, "es", "es")
        receive("a", "b", caption="mira")
        fetch(a=VCARD, b=NEVER)
        relay = read_outbound(Kind.RELAY)[-1]
        assert relay.body == (
            "mira [Se ha retenido un contacto por privacidad.] [Una imagen no se ha podido reenviar.]"
        )
        omar = chat.participants.get(position=2)
        replaced = api.post(
            f"/chats/{chat.pk}/participants/{omar.pk}/replace", {"phone_number": ALICE, "name": "Alicia"}
        )
        assert replaced.json()["participants"][1]["language"] == "es"
        assert told(Kind.ANNOUNCEMENT) == ["Ahora escribe a Alicia en lugar de Omar. Lo que escriba por aqui le llega."]
        api.post(f"/chats/{chat.pk}/end")
        text()
        assert [answer[:30] for _, answer in read_answers()] == [
            "Su contacto o archivo no se ha",
            "Lo que adjuntaba no se ha podi",
            "Un mensaje suyo no ha llegado ",
            "Este chat ha terminado, por lo",
        ]

    @pytest.mark.parametrize("tag", ["english", "e", "xx", "en-", "?", "x" * 36])
    def test_a_language_that_does_not_exist_is_refused(self, api, virtual_number, tag):
        people = [{"phone_number": SARA, "language": tag}, {"phone_number": OMAR}]
        response = api.post("/chats", {"participants": people})
        assert response.status_code == 400
        assert errors(response)[0][1] == "participants.0.language"

    def test_a_language_is_shown_as_it_is_written(self, api, virtual_number):
        people = [{"phone_number": SARA, "language": "pt_br"}, {"phone_number": OMAR}]
        shown = api.post("/chats", {"participants": people}).json()["participants"]
        assert [person["language"] for person in shown] == ["pt-BR", None]


class TestAPlatformsOwn:
    def test_stand_before_the_services_with_the_chats_fields(self, api, platform, virtual_number):
        save(api, "introduction", "{platform} {reference} {metadata.car} {metadata.seats}: {name}, {counterpart}. STOP")
        start(api, reference="booking-12", metadata={"car": "red Skoda", "seats": 4})
        assert told(Kind.INTRODUCTION) == [
            "Rides booking-12 red Skoda 4: Sara, Omar. STOP",
            "Rides booking-12 red Skoda 4: Omar, Sara. STOP",
        ]

    def test_the_nearest_one_is_taken(self, api, virtual_number):
        """Language and side, language, the platform's language; only then the service's own."""
        Platform.objects.update(language="fr", introduction="Introduction. STOP")
        first_of = [
            ({"language": "es-MX", "side": 1}, "es-MX first. STOP"),
            ({"language": "es-MX"}, "es-MX. STOP"),
            ({"language": "es", "side": 1}, "es first. STOP"),
            ({"language": "es"}, "es. STOP"),
            ({"language": "fr", "side": 1}, "fr first. STOP"),
            ({"language": "fr"}, "fr. STOP"),
        ]
        save(api, "introduction", "Another side. STOP", language="es-MX", side=2)
        save(api, "introduction", "Another language. STOP", language="pt")
        ids = {words: save(api, "introduction", words, **fields) for fields, words in first_of}
        expected = [words for _, words in first_of] + ["Introduction. STOP"]
        for index, words in enumerate(expected):
            chat = start(api, "es-MX", "de")
            introduction = Message.objects.get(kind="introduction", participant__position=1, chat=chat)
            assert introduction.body == words
            Message.objects.all().delete()
            chat.delete()
            if index < len(ids):
                assert api.delete(f"/templates/{ids[words]}").status_code == 204
        Platform.objects.update(introduction="")
        start(api, "es-MX")
        assert told(Kind.INTRODUCTION)[0].startswith("Hola Sara")

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("red Skoda", "red Skoda"),
            (4, "4"),
            (4.5, "4.5"),
            (True, ""),
            (None, ""),
            (["red"], ""),
            ({"a": 1}, ""),
            ("two\nlines", "two lines"),
            ("{name}", "{name}"),
            ("+1 415 555 0123", ""),
            (14155550123, ""),
            ("x" * 300, "x" * 100),
        ],
    )
    def test_metadata_is_shown_in_one_line_when_it_is_words_or_a_number(self, api, virtual_number, value, shown):
        save(api, "introduction", "Car: {metadata.car}. STOP")
        start(api, metadata={"car": value})
        assert told(Kind.INTRODUCTION)[0] == f"Car: {shown}. STOP"

    def test_what_is_not_known_is_left_to_general_words(self, api, virtual_number):
        save(api, "introduction", "Hi {name}: {counterpart}{reference}{metadata.car}. STOP")
        save(api, "introduction", "Hola {name}: {counterpart}. STOP", language="es")
        start(api, "", "es", names=("", ""))
        assert told(Kind.INTRODUCTION) == ["Hi there: the other person. STOP", "Hola usuario: la otra persona. STOP"]

    @pytest.mark.parametrize(
        "name", ["{counterpart}", "{0.__class__}", "%s", "{{name}}", r"\1 \g<0>", "{metadata.pin}"]
    )
    def test_a_name_is_only_a_name(self, api, virtual_number, name):
        save(api, "introduction", "{name} meets {counterpart}. STOP")
        start(api, names=(name, "Omar"), metadata={"pin": "secret"})
        assert told(Kind.INTRODUCTION)[0] == f"{name} meets Omar. STOP"

    def test_each_kind_of_answer_can_be_worded(self, api, virtual_number, media_storage):
        for kind in TemplateKind:
            named = "name" in list_fields(kind)
            own = f"Own {kind} for {{name}} STOP" if named else f"Own {kind} STOP"
            save(api, kind, f"{own} YES" if kind is TemplateKind.CONSENT_REQUEST else own)
        chat = start(api)
        omar = chat.participants.get(position=2)
        for message in (sms(text=""), sms(text="x" * 3201)):
            signed_post(Client(), INBOUND, message)
        receive("a", "b")
        fetch(a=VCARD, b=NEVER)
        api.post(f"/chats/{chat.pk}/participants/{omar.pk}/replace", {"phone_number": ALICE})
        text(**{"from": OMAR[1:]})
        api.post(f"/chats/{chat.pk}/end")
        text()
        assert set(told()) == {
            "Own introduction for Sara STOP",
            "Own introduction for Omar STOP",
            "Own cannot_pass_on_empty for Sara STOP",
            "Own cannot_pass_on_too_long for Sara STOP",
            "Own withheld_vcard STOP Own missing_image STOP",
            "Own attachment_withheld for Sara STOP",
            "Own attachment_missing for Sara STOP",
            "Own new_phone for Sara STOP",
            "Own not_delivered for Sara STOP",
            "Own no_longer_in_chat for Omar STOP",
            "Own closing for Sara STOP",
            "Own closing for Omar STOP",
            "Own chat_ended for Sara STOP",
        }

    def test_another_platforms_are_not_used(self, api, other_api, virtual_number):
        save(other_api, "introduction", "Rentals. STOP")
        start(api)
        assert told(Kind.INTRODUCTION)[0].startswith("Hi Sara")

    def test_the_last_word_is_said_when_a_chat_ends_in_whatever_way(self, api, virtual_number):
        save(api, "closing", "Bye {name}.")
        by_request = start(api)
        api.post(f"/chats/{by_request.pk}/end")
        assert told(Kind.CLOSING) == ["Bye Sara.", "Bye Omar."]
        Message.objects.all().delete()
        start(api, expires_at=(timezone.now() + timedelta(hours=1)).isoformat())
        end_expired_chats(now=timezone.now() + timedelta(hours=2))
        assert told(Kind.CLOSING) == ["Bye Sara.", "Bye Omar."]

    def test_a_closing_text_of_the_request_goes_instead(self, api, virtual_number):
        save(api, "closing", "Bye {name}.")
        api.post(f"/chats/{start(api).pk}/end", {"closing_text": "Thank you."})
        assert told(Kind.CLOSING) == ["Thank you."] * 2

    def test_a_chat_that_never_started_ends_without_a_word(self, api, virtual_number):
        save(api, "closing", "Bye {name}.")
        chat = start(api, starts_at=(timezone.now() + timedelta(hours=1)).isoformat())
        api.post(f"/chats/{chat.pk}/end")
        assert told() == []

    def test_a_text_that_is_passed_on_reads_none(self, api, virtual_number):
        save(api, "introduction", "Hi. STOP")
        start(api)
        with CaptureQueriesContext(connection) as captured:
            text()
        assert not [query for query in captured if "platforms_template" in query["sql"]]
        assert told(Kind.RELAY)


class TestSaving:
    def test_the_same_kind_language_and_side_again_replaces_it(self, api, platform):
        first = save(api, "chat_ended", "Over.")
        assert save(api, "chat_ended", "It is over.", language="en") == first
        assert save(api, "chat_ended", "Over, {name}.", side=1) != first
        shown = api.get("/templates").json()["results"]
        assert [(one["language"], one["side"], one["text"]) for one in shown] == [
            ("en", 1, "Over, {name}."),
            ("en", None, "It is over."),
        ]

    @pytest.mark.parametrize(
        ("kind", "words", "error"),
        [
            ("chat_ended", "", ("blank", "text")),
            ("chat_ended", " \n", ("blank", "text")),
            ("chat_ended", "{nobody}", ("unknown_template_field", "text")),
            ("chat_ended", "{former}", ("unknown_template_field", "text")),
            ("chat_ended", "{}", ("unknown_template_field", "text")),
            ("chat_ended", "{name", ("unknown_template_field", "text")),
            ("chat_ended", "name}", ("unknown_template_field", "text")),
            ("chat_ended", "{{name}}", ("unknown_template_field", "text")),
            ("chat_ended", "{name!r}", ("unknown_template_field", "text")),
            ("chat_ended", "{name:>500}", ("unknown_template_field", "text")),
            ("chat_ended", "{name.__class__}", ("unknown_template_field", "text")),
            ("chat_ended", "{metadata}", ("unknown_template_field", "text")),
            ("chat_ended", "{metadata.a.b}", ("unknown_template_field", "text")),
            ("chat_ended", "Call 415 555 0123", ("phone_number", "text")),
            ("chat_ended", "a\x07b", ("not_text", "text")),
            ("chat_ended", "x" * 601, ("max_length", "text")),
            ("chat_ended", "я" * 403, ("too_many_segments", "text")),
            ("chat_ended", "{counterpart} " * 30, ("too_many_segments", "text")),
            ("introduction", "Hello", ("no_opt_out", "text")),
            ("introduction", "NONSTOP fun", ("no_opt_out", "text")),
            ("missing_image", "x" * 81, ("max_length", "text")),
            ("missing_image", "[{name}]", ("unknown_template_field", "text")),
            ("greeting", "Hello", ("invalid_choice", "kind")),
        ],
    )
    def test_what_would_reach_people_wrong_is_refused(self, api, kind, words, error):
        for response in (
            put(api, kind, words),
            api.post("/templates/preview", {"kind": kind, "text": words}),
        ):
            assert (response.status_code, errors(response)) == (400, [error])
        assert not Template.objects.exists()

    @pytest.mark.parametrize(("field", "value"), [("language", "english"), ("side", 3), ("sides", 1)])
    def test_whom_there_is_not_is_refused(self, api, field, value):
        assert put(api, "chat_ended", "Over.", **{field: value}).status_code == 400

    def test_the_limit_of_segments_is_a_setting(self, api, settings):
        settings.TEMPLATE_MAX_SEGMENTS = 1
        assert errors(put(api, "chat_ended", "x" * 161)) == [("too_many_segments", "text")]
        save(api, "chat_ended", "x" * 160)

    @pytest.mark.parametrize("text", ["Hi {name}", "Hi {metadata.a}", "Hi {reference}"])
    def test_of_strangers_nothing_is_known(self, api, text):
        assert errors(put(api, "stranger", text)) == [("unknown_template_field", "text")]
        save(api, "stranger", "This is {platform}.")

    def test_there_are_a_thousand_at_most(self, api, platform, monkeypatch):
        monkeypatch.setattr("platforms.template_views.MAX_TEMPLATES", 2)
        for kind in ("closing", "help"):
            save(api, kind, "Bye.")
        assert errors(put(api, "chat_ended", "Over.")) == [("too_many_templates", None)]
        save(api, "help", "Ask us.")
        assert len(api.get("/templates").json()["results"]) == 2

    def test_what_there_is_to_word_is_listed(self, api):
        kinds = {one["kind"]: one for one in api.get("/templates").json()["kinds"]}
        assert kinds.keys() == set(TemplateKind.values)
        assert kinds["chat_ended"]["wordings"]["en"] == [wording.CHAT_HAS_ENDED]
        assert kinds["closing"]["wordings"] == kinds["stranger"]["wordings"] == {}
        assert kinds["stranger"]["fields"] == ["platform"]
        assert "former" in kinds["replacement"]["fields"]


class TestPreview:
    def test_shows_the_text_and_what_it_costs(self, api):
        asked = {"kind": "introduction", "text": INTRODUCTION, "fields": {"name": "Sara", "counterpart": "Omar"}}
        assert api.post("/templates/preview", asked).json() == {
            "text": "Rides: hi Sara, text Omar here. STOP ends it.",
            "encoding": "GSM-7",
            "segments": 1,
            "characters_left": 115,
            "costly_characters": "",
        }
        assert not Template.objects.exists() and not Message.objects.exists()

    def test_names_the_characters_that_make_it_cost_more(self, api):
        shown = api.post("/templates/preview", {"kind": "chat_ended", "text": "Terminó él, ¡adiós! 🚕"}).json()
        assert (shown["encoding"], shown["segments"], shown["costly_characters"]) == ("UCS-2", 1, "ó🚕")
        assert shown["characters_left"] == 70 - 22

    @pytest.mark.parametrize(("length", "segments", "left"), [(160, 1, 0), (161, 2, 145), (306, 2, 0), (307, 3, 152)])
    def test_counts_segments(self, api, length, segments, left):
        shown = api.post("/templates/preview", {"kind": "chat_ended", "text": "x" * length}).json()
        assert (shown["segments"], shown["characters_left"]) == (segments, left)

    def test_without_a_text_it_is_what_people_are_told_now(self, api):
        asked = {"kind": "chat_ended", "language": "es-AR"}
        assert api.post("/templates/preview", asked).json()["text"].startswith("Este chat ha terminado")
        save(api, "chat_ended", "Fin.", language="es")
        assert api.post("/templates/preview", asked).json()["text"] == "Fin."
        nothing = api.post("/templates/preview", {"kind": "closing"}).json()
        assert (nothing["text"], nothing["segments"]) == ("", 0)

    def test_to_strangers_it_is_what_the_operator_has_set(self, api, settings):
        settings.STRANGER_REPLY = "This number takes no texts."
        asked = {"kind": "stranger", "language": "es"}
        assert api.post("/templates/preview", asked).json()["text"] == "This number takes no texts."
        save(api, "stranger", "Somos {platform}.", language="es")
        assert api.post("/templates/preview", asked).json()["text"] == "Somos Rides."


def test_a_starting_chat_finds_a_platform_without_templates_as_it_was(api, virtual_number):
    Platform.objects.update(introduction="{name} meets {counterpart} of {platform}. STOP")
    assert api.post("/chats", body()).status_code == 201
    assert told(Kind.INTRODUCTION) == ["there meets the other person of Rides. STOP"] * 2
