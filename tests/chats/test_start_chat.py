"""POST /chats."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from chats.models import Chat, Participant, VirtualNumber
from messaging.models import Message
from tests.chats.helpers import body, errors
from tests.factories import (
    ALICE,
    BOB,
    OMAR,
    SARA,
    VIRTUAL_NUMBER,
    make_chat,
    make_platform,
    make_virtual_number,
)
from tests.harness.statements import noted_statements


def test_a_chat_is_shown_with_masked_numbers_and_two_queued_introductions(api, virtual_number):
    response = api.post(
        "/chats",
        {
            "participants": [
                {"phone_number": "+1 (415) 555-0123", "name": "Sara"},
                {"phone_number": "+1.415.555.0124", "name": "  Omar "},
            ],
            "reference": "booking-8812",
            "expires_at": "2090-01-31T18:00:00+02:00",
            "metadata": {"booking": 8812, "tags": ["ü", None]},
        },
    )
    assert response.status_code == 201
    chat = response.json()
    row = Chat.objects.get()
    first, second = row.participants.all()
    queued = {message.participant_id: str(message.pk) for message in Message.objects.all()}
    assert chat == {
        "id": str(row.pk),
        "status": "open",
        "reference": "booking-8812",
        "end_reason": None,
        "virtual_numbers": [VIRTUAL_NUMBER],
        "participants": [
            {
                "id": str(participant.pk),
                "name": name,
                "language": None,
                "phone_number": masked,
                "virtual_number": VIRTUAL_NUMBER,
                "opted_out": False,
                "awaits_consent": False,
                "introduction": {"message_id": queued[participant.pk], "status": "queued", "error": None},
                "muted_at": None,
                "blocked_at": None,
            }
            for participant, name, masked in (
                (first, "Sara", "+1••••••••23"),
                (second, "Omar", "+1••••••••24"),
            )
        ],
        "former_participants": [],
        "metadata": {"booking": 8812, "tags": ["ü", None]},
        "disclosures": dict.fromkeys(("phone_numbers", "emails", "links", "handles")),
        "starts_at": None,
        "expires_at": "2090-01-31T16:00:00Z",
        "idle_timeout_seconds": None,
        "idle_ends_at": None,
        "created_at": chat["created_at"],
        "ended_at": None,
    }
    assert [first.phone_number, second.phone_number] == [SARA, OMAR]


def test_two_numbers_are_enough(api, virtual_number):
    chat = api.post("/chats", body()).json()
    assert (chat["reference"], chat["expires_at"], chat["metadata"]) == (None, None, {})
    assert [person["name"] for person in chat["participants"]] == ["", ""]


def test_null_means_not_given(api, virtual_number):
    people = [{"phone_number": number, "name": None} for number in (SARA, OMAR)]
    given = {"participants": people, "reference": None, "expires_at": None, "metadata": None}
    response = api.post("/chats", given)
    assert response.status_code == 201
    assert response.json()["metadata"] == {}


def test_it_takes_few_statements(api, virtual_number):
    api.post("/chats", body(ALICE, BOB))
    with noted_statements() as noted:
        assert api.post("/chats", body(reference="r")).status_code == 201
    assert len([each for each in noted if "SAVEPOINT" not in each]) <= 13


class TestReference:
    def test_again_with_the_same_people_returns_the_same_chat_and_texts_nobody(self, api, virtual_number):
        first = api.post("/chats", body(reference="r"))
        again = api.post("/chats", body(OMAR, "+1 415 555 0123", reference="r", metadata={"changed": True}))
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json() == first.json()
        assert Message.objects.count() == 2

    def test_again_when_the_chat_has_ended_returns_it_as_it_ended(self, api, virtual_number):
        first = api.post("/chats", body(reference="r")).json()
        api.post(f"/chats/{first['id']}/end")
        again = api.post("/chats", body(reference="r"))
        assert again.status_code == 200
        assert (again.json()["id"], again.json()["status"]) == (first["id"], "ended")
        assert Message.objects.filter(kind="introduction").count() == 2

    def test_a_request_repeated_after_its_chat_expired_returns_that_chat(self, api, virtual_number, time_machine):
        asked = body(reference="r", expires_at="2090-01-01T00:00:00Z")
        first = api.post("/chats", asked).json()
        time_machine.move_to(datetime(2090, 1, 2, tzinfo=UTC))
        again = api.post("/chats", asked)
        assert (again.status_code, again.json()["id"]) == (200, first["id"])

    def test_with_other_people_is_refused(self, api, virtual_number):
        api.post("/chats", body(reference="r"))
        response = api.post("/chats", body(SARA, ALICE, reference="r"))
        assert response.status_code == 409
        assert errors(response) == [("reference_taken", "reference")]
        assert Chat.objects.count() == 1

    def test_of_another_platform_is_another_chat(self, api, other_api, virtual_number):
        make_virtual_number("+14155550101")
        assert api.post("/chats", body(reference="r")).status_code == 201
        assert other_api.post("/chats", body(reference="r")).status_code == 201


class TestNoFreeNumber:
    def test_names_the_person_who_is_the_reason(self, api, virtual_number):
        api.post("/chats", body(SARA, OMAR))
        response = api.post("/chats", body(ALICE, OMAR))
        assert response.status_code == 409
        assert errors(response) == [("no_free_number", "participants.1.phone_number")]

    def test_names_both_when_both_are(self, api, virtual_number):
        api.post("/chats", body(SARA, OMAR))
        response = api.post("/chats", body(SARA, OMAR))
        assert response.status_code == 409
        assert errors(response) == [
            ("no_free_number", "participants.0.phone_number"),
            ("no_free_number", "participants.1.phone_number"),
        ]

    @pytest.mark.parametrize("state", ["reserved", "draining", "retired"])
    def test_an_empty_pool_is_nobodys_fault(self, api, state):
        make_virtual_number(state=state)
        make_virtual_number("+14155550101", platform=make_platform("Other"))
        make_virtual_number("+14155550102", can_sms=False)
        response = api.post("/chats", body())
        assert response.status_code == 409
        assert errors(response) == [("no_free_number", None)]
        assert "no active virtual number" in response.json()["errors"][0]["detail"]

    def test_leaves_nothing_behind(self, api, virtual_number):
        api.post("/chats", body(SARA, OMAR))
        api.post("/chats", body(ALICE, OMAR, reference="r"))
        assert (Chat.objects.count(), Participant.objects.count(), Message.objects.count()) == (1, 2, 2)


@pytest.mark.parametrize(
    "number, code",
    [
        ("4155550123", "not_international"),
        ("0014155550123", "not_international"),
        ("", "not_international"),
        ("+1415555012", "invalid_phone_number"),
        ("+14155550123456", "invalid_phone_number"),
        ("+1415555012\u0663", "invalid_phone_number"),
        ("+1415555012\x00", "invalid_phone_number"),
        ("+1 415 555 0123 ext 5", "invalid_phone_number"),
        ("+1-800-FLOWERS", "invalid_phone_number"),
        ("+" + "1" * 10_000, "invalid_phone_number"),
        ("+999 123 456 789", "invalid_phone_number"),
        ("+442079460018", "not_textable"),
        ("+18005550123", "not_textable"),
        ("+19005551234", "not_textable"),
        ("+447640123456", "not_textable"),
        (None, "null"),
        (14155550123, "invalid"),
        (["+14155550123"], "invalid"),
    ],
)
def test_a_number_that_cannot_be_sent_a_text_is_refused_and_not_quoted(api, virtual_number, number, code):
    response = api.post("/chats", {"participants": [{"phone_number": SARA}, {"phone_number": number}]})
    assert response.status_code == 400
    assert errors(response) == [(code, "participants.1.phone_number")]
    if isinstance(number, str) and number:
        assert number not in response.content.decode()


def test_the_same_number_twice_is_refused(api, virtual_number):
    response = api.post("/chats", body(SARA, "+1 415 555-0123"))
    assert response.status_code == 400
    assert errors(response) == [("same_person", "participants.1.phone_number")]


@pytest.mark.parametrize("state", VirtualNumber.State.values)
def test_one_of_our_own_numbers_is_refused(api, virtual_number, state):
    make_virtual_number("+14155550177", state=state, platform=make_platform("Other"))
    response = api.post("/chats", body(SARA, "+14155550177"))
    assert response.status_code == 400
    assert errors(response) == [("virtual_number", "participants.1.phone_number")]


def _nested(levels: int) -> dict[str, Any]:
    return {"a": _nested(levels - 1)} if levels > 1 else {}


@pytest.mark.parametrize(
    "fields, error",
    [
        ({"participants": None}, ("null", "participants")),
        ({"participants": "x"}, ("not_a_list", "participants.non_field_errors")),
        ({"participants": []}, ("min_length", "participants.non_field_errors")),
        ({"participants": [{"phone_number": SARA}]}, ("min_length", "participants.non_field_errors")),
        ({"participants": body(SARA, OMAR, ALICE)["participants"]}, ("max_length", "participants.non_field_errors")),
        ({"participants": [{"phone_number": SARA}, {}]}, ("required", "participants.1.phone_number")),
        ({"participants": [{"phone_number": SARA}, "x"]}, ("invalid", "participants.1.non_field_errors")),
        ({"reference": ""}, ("blank", "reference")),
        ({"reference": "  "}, ("blank", "reference")),
        ({"reference": "x" * 101}, ("max_length", "reference")),
        ({"reference": "a\nb"}, ("not_one_line", "reference")),
        ({"reference": "a\x00b"}, ("not_one_line", "reference")),
        ({"reference": "a\ud800b"}, ("not_one_line", "reference")),
        ({"reference": ["a"]}, ("invalid", "reference")),
        ({"reference": True}, ("invalid", "reference")),
        ({"expires_at": "2020-01-01T00:00:00Z"}, ("in_the_past", "expires_at")),
        ({"expires_at": "2090-01-01T00:00:00"}, ("no_zone", "expires_at")),
        ({"expires_at": "2090-01-01"}, ("no_zone", "expires_at")),
        ({"expires_at": "tomorrow"}, ("invalid", "expires_at")),
        ({"expires_at": 4102444800}, ("invalid", "expires_at")),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, ("overflow", "expires_at")),
        ({"expires_at": ""}, ("invalid", "expires_at")),
        ({"metadata": []}, ("not_an_object", "metadata")),
        ({"metadata": "x"}, ("not_an_object", "metadata")),
        ({"metadata": {str(key): 1 for key in range(51)}}, ("too_many_keys", "metadata")),
        ({"metadata": {"a": "x" * 4100}}, ("too_large", "metadata")),
        ({"metadata": {"a": "ü" * 2100}}, ("too_large", "metadata")),
        ({"metadata": {"a": ["b\x00"]}}, ("not_text", "metadata")),
        ({"metadata": {"a\x00": 1}}, ("not_text", "metadata")),
        ({"metadata": {"a": "\ud800"}}, ("not_text", "metadata")),
        ({"metadata": _nested(11)}, ("too_deep", "metadata")),
        ({"expire_at": "2090-01-01T00:00:00Z"}, ("unknown_field", "expire_at")),
        ({"a b": 1}, ("unknown_field", "non_field_errors")),
        ({"\ud800": 1}, ("unknown_field", "non_field_errors")),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(api, virtual_number, fields, error):
    response = api.post("/chats", json.dumps({**body(), **fields}), content_type="application/json")
    assert response.status_code == 400
    assert errors(response) == [error]
    assert not Chat.objects.exists()


@pytest.mark.parametrize(
    "name, code",
    [
        ("x" * 41, "max_length"),
        ("Sara\nOmar", "not_one_line"),
        ("Sara\u2028Omar", "not_one_line"),
        ("Sara\x00", "not_one_line"),
        ("Sara \u202eramO", "not_one_line"),
        ("call 415 555-0123", "phone_number"),
        ("٤١٥٥٥٥٠١٢٣", "phone_number"),
        (["Sara"], "invalid"),
    ],
)
def test_a_name_that_cannot_be_texted_is_refused(api, virtual_number, name, code):
    people = [{"phone_number": SARA, "name": name}, {"phone_number": OMAR}]
    response = api.post("/chats", {"participants": people})
    assert response.status_code == 400
    assert errors(response) == [(code, "participants.0.name")]


@pytest.mark.parametrize("name", ["Sara", "Zoë-Jane O'Neill", "李雷", "ليلى", "👩‍🔧 Ada", "x" * 40, "Unit 4, flat 12"])
def test_a_name_may_be_anything_people_are_called(api, virtual_number, name):
    response = api.post("/chats", {"participants": [{"phone_number": SARA, "name": name}, {"phone_number": OMAR}]})
    assert response.status_code == 201
    assert response.json()["participants"][0]["name"] == name


@pytest.mark.parametrize(
    "metadata",
    [{}, {str(key): 1 for key in range(50)}, _nested(10), {"a": 1.5, "b": [True, None]}, {"a": "\\u0000"}],
)
def test_metadata_comes_back_as_it_was_given(api, virtual_number, metadata):
    assert api.post("/chats", body(metadata=metadata)).json()["metadata"] == metadata


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"metadata": NaN}',
        b'{"metadata": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"metadata": {"a": ' + b"1" * 5_000 + b"}}",
    ],
)
def test_what_is_no_json_is_refused(api, raw):
    response = api.post("/chats", raw, content_type="application/json")
    assert response.status_code == 400
    assert {code for code, _ in errors(response)} <= {"parse_error", "required"}


def test_a_number_that_json_allows_and_nobody_can_keep_is_refused(api, virtual_number):
    raw = json.dumps(body(metadata={"a": 1})).replace("1}", "1e999}")
    response = api.post("/chats", raw, content_type="application/json")
    assert response.status_code == 400
    assert errors(response) == [("not_a_number", "metadata")]


@pytest.mark.parametrize("charset", ["utf-8", "rot13", "hex", "no-such-thing"])
def test_json_is_utf8_whatever_the_header_says(api, virtual_number, charset):
    raw = json.dumps(body(metadata={"a": "ü"}), ensure_ascii=False).encode()
    response = api.post("/chats", raw, content_type=f"application/json; charset={charset}")
    assert response.status_code == 201
    assert response.json()["metadata"] == {"a": "ü"}


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null"])
def test_a_body_that_is_no_object_is_refused(api, raw):
    response = api.post("/chats", raw, content_type="application/json")
    assert response.status_code == 400
    errors(response)


def test_a_body_that_is_too_large_is_refused(api):
    response = api.post("/chats", b" " * (256 * 1024 + 1), content_type="application/json")
    assert response.status_code == 413
    assert errors(response) == [("body_too_large", None)]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_declared_as_json_is_refused(api, content_type):
    response = api.post("/chats", b"{}", content_type=content_type)
    assert response.status_code == 415
    assert errors(response) == [("unsupported_media_type", None)]


def test_the_platforms_own_introduction_is_used(api, platform, virtual_number):
    platform.introduction = "{platform}: {name}, {counterpart} is on the line. STOP to opt out."
    platform.save()
    api.post("/chats", {"participants": [{"phone_number": SARA, "name": "Sara"}, {"phone_number": OMAR}]})
    assert [message.body for message in Message.objects.order_by("position")] == [
        "Rides: Sara, the other person is on the line. STOP to opt out.",
        "Rides: there, Sara is on the line. STOP to opt out.",
    ]


def test_an_expired_chat_that_is_not_closed_yet_still_holds_its_number(platform, api, virtual_number):
    past = timezone.now() - timedelta(hours=2)
    make_chat(platform, expires_at=past + timedelta(hours=1), now=past)
    assert api.post("/chats", body(SARA, ALICE)).status_code == 409
