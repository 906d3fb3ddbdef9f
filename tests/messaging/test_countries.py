"""Only phone numbers of the countries that a platform, or the service, allows are texted."""

import pytest
from django.test import Client

from chats.models import VirtualNumber
from messaging.claims import claim_texts
from messaging.gateways import SendError
from messaging.models import Message
from platforms.models import Platform
from tests.chats.helpers import body, errors
from tests.factories import ALICE, ELSA_IN_SWEDEN, OLIVIA_IN_AUSTRALIA, OMAR, SARA, make_chat
from tests.messaging.payloads import sms
from tests.messaging.rows import ago, read_outbound
from tests.messaging.signing import INBOUND, signed_post

pytestmark = pytest.mark.django_db

LISTS = {
    "neither has a list": ([], [], True),
    "the service's list has it": (["US", "AU"], [], True),
    "the service's list lacks it": (["US"], [], False),
    "the platform's list has it": ([], ["AU", "US"], True),
    "the platform's list lacks it": ([], ["US"], False),
    "the platform's list comes first": (["US"], ["AU", "US"], True),
}


def set_countries(settings, service: list[str], platform: list[str]) -> None:
    settings.ALLOWED_COUNTRIES = service
    Platform.objects.update(allowed_countries=platform)


@pytest.mark.parametrize(("service", "own", "allowed"), LISTS.values(), ids=LISTS)
def test_a_chat_is_started_with_people_of_allowed_countries(api, virtual_number, settings, service, own, allowed):
    set_countries(settings, service, own)
    response = api.post("/chats", body(SARA, OLIVIA_IN_AUSTRALIA))
    assert response.status_code == (201 if allowed else 400)
    if not allowed:
        assert errors(response) == [("country_not_allowed", "participants.1.phone_number")]
        assert read_outbound() == []


def test_a_participant_is_replaced_by_somebody_of_an_allowed_country(api, chat, omar, settings):
    set_countries(settings, [], ["US"])
    path = f"/chats/{chat.pk}/participants/{omar.pk}/replace"
    refused = api.post(path, {"phone_number": ELSA_IN_SWEDEN})
    assert (refused.status_code, errors(refused)) == (400, [("country_not_allowed", "phone_number")])
    assert api.post(path, {"phone_number": ALICE}).status_code == 200


def test_a_chat_that_was_started_before_is_returned_whatever_is_allowed_now(api, virtual_number, settings):
    first = api.post("/chats", body(SARA, OLIVIA_IN_AUSTRALIA, reference="r"))
    set_countries(settings, ["US"], [])
    again = api.post("/chats", body(SARA, OLIVIA_IN_AUSTRALIA, reference="r"))
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize(("service", "own", "allowed"), LISTS.values(), ids=LISTS)
def test_what_is_queued_is_not_sent_to_a_country_that_is_not_allowed_any_more(
    platform, virtual_number, settings, service, own, allowed
):
    make_chat(platform, (SARA, OLIVIA_IN_AUSTRALIA))
    VirtualNumber.objects.update(next_send_at=ago(minutes=1), messages_per_second=1000)
    Message.objects.update(due_at=ago(minutes=1))
    set_countries(settings, service, own)
    refused = []
    for claim in claim_texts(limit=10):
        try:
            claim.decrypt_text()
        except SendError as error:
            refused.append(error.code)
    assert refused == ([] if allowed else ["country_not_allowed"])


STRANGERS = {
    "a country that is allowed": (ALICE, True),
    "another country": (ELSA_IN_SWEDEN, False),
    # https://en.wikipedia.org/wiki/Premium-rate_telephone_number: 900 in North America
    "a premium number": ("+19002345678", False),
}


@pytest.mark.parametrize(("number", "answered"), STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_of_another_country_is_not_answered(chat, settings, number, answered):
    settings.STRANGER_REPLY = "This number does not take texts."
    set_countries(settings, ["US"], [])
    assert signed_post(Client(), INBOUND, sms(from_=number[1:])).status_code == 200
    assert bool(read_outbound()) is answered


def test_the_owner_of_a_number_decides_which_strangers_are_answered(platform, virtual_number, settings):
    settings.STRANGER_REPLY = "This number does not take texts."
    virtual_number.platform = platform
    virtual_number.save()
    set_countries(settings, [], ["SE"])
    for number in (OMAR, ELSA_IN_SWEDEN):
        signed_post(Client(), INBOUND, sms(from_=number[1:]))
    assert [row.stranger_number for row in read_outbound()] == [ELSA_IN_SWEDEN]
