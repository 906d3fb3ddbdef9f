"""GET /chats and GET /chats/{id}."""

import base64

import pytest

from chats.services import end_chat
from messaging.models import Message
from tests.chats.helpers import errors
from tests.factories import OMAR, SARA, make_chat, make_pool
from tests.harness.statements import noted_statements

NOBODYS = "0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11"


@pytest.fixture
def chats(platform):
    """Five chats of the platform, the newest first."""
    make_pool(1)
    return [make_chat(platform, (f"+1415555013{n}", f"+1415555014{n}"), reference=f"r{n}") for n in range(5)][::-1]


def ids(response):
    assert response.status_code == 200
    return [chat["id"] for chat in response.json()["results"]]


def test_the_newest_come_first_and_every_page_leads_to_the_next(api, chats):
    seen, url = [], "/chats?page_size=2"
    while url:
        page = api.get(url)
        assert len(ids(page)) <= 2
        seen += ids(page)
        url = page.json()["next"]
    assert seen == [str(chat.pk) for chat in chats]


def test_pages_stay_where_they_are_when_chats_are_added(api, platform, chats):
    first = api.get("/chats?page_size=2").json()
    make_chat(platform, (SARA, OMAR))
    assert ids(api.get(first["next"])) == [str(chat.pk) for chat in chats[2:4]]


def test_a_page_leads_back(api, chats):
    second = api.get(api.get("/chats?page_size=2").json()["next"]).json()
    assert ids(api.get(second["previous"])) == [str(chat.pk) for chat in chats[:2]]


def test_a_list_shows_chats_as_one_request_shows_each(api, chats):
    shown = api.get("/chats").json()["results"]
    assert shown == [api.get(f"/chats/{chat.pk}").json() for chat in chats]


def test_filters(api, chats):
    end_chat(chat_id=chats[0].pk, reason="test", now=chats[0].created_at)
    assert ids(api.get("/chats?status=ended")) == [str(chats[0].pk)]
    assert len(ids(api.get("/chats?status=open"))) == 4
    assert ids(api.get("/chats?reference=r2")) == [str(chats[2].pk)]
    assert ids(api.get("/chats?reference=r2&status=ended")) == []
    assert ids(api.get("/chats?reference=nothing")) == []


def cursor(text):
    return "cursor=" + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "query, error",
    [
        ("status=closed", ("invalid_choice", "status")),
        ("reference=%00", ("null_characters_not_allowed", "reference")),
        ("state=open", ("unknown_parameter", None)),
        ("page_size=0", ("invalid", "page_size")),
        ("page_size=-1", ("invalid", "page_size")),
        ("page_size=many", ("invalid", "page_size")),
        ("page_size=%D9%A3", ("invalid", "page_size")),
        ("cursor=nonsense", ("invalid_cursor", "cursor")),
        ("cursor=%FF", ("invalid_cursor", "cursor")),
        (cursor("p=nonsense"), ("invalid_cursor", "cursor")),
        (cursor("p=2026-01-01"), ("invalid_cursor", "cursor")),
        (cursor("p=2026-13-01 00:00:00+00:00"), ("invalid_cursor", "cursor")),
        (cursor("o=-1"), ("invalid_cursor", "cursor")),
        (cursor("r=x"), ("invalid_cursor", "cursor")),
    ],
)
def test_a_parameter_that_cannot_be_used_is_refused(api, platform, query, error):
    response = api.get(f"/chats?{query}")
    assert response.status_code == 400
    assert errors(response) == [error]


def test_a_page_has_at_most_200_chats(api, chats):
    assert len(ids(api.get("/chats?page_size=100000"))) == 5


@pytest.mark.parametrize("count", [1, 8])
def test_a_page_takes_the_same_statements_however_long_it_is(api, platform, count):
    make_pool(1)
    for n in range(count):
        make_chat(platform, (f"+1415555013{n}", f"+1415555014{n}"))
    api.get("/chats")
    with noted_statements() as noted:
        assert len(ids(api.get("/chats"))) == count
    # The key, its limits, the chats, their people.
    assert len(noted) == 4


def test_a_chat_tells_what_became_of_its_introductions(api, platform, virtual_number):
    chat = make_chat(platform)
    first, second = chat.participants.all()
    Message.objects.filter(participant=first).update(status="delivered")
    Message.objects.filter(participant=second).update(status="failed", error_code="1320", error_detail="Unreachable")
    shown = api.get(f"/chats/{chat.pk}").json()["participants"]
    assert [person["introduction"]["status"] for person in shown] == ["delivered", "failed"]
    assert [person["introduction"]["error"] for person in shown] == [
        None,
        {"code": "1320", "detail": "Unreachable"},
    ]


def test_an_introduction_that_is_gone_is_null(api, platform, virtual_number):
    chat = make_chat(platform)
    Message.objects.all().delete()
    shown = api.get(f"/chats/{chat.pk}").json()["participants"]
    assert [person["introduction"] for person in shown] == [None, None]


def test_another_platforms_chats_are_not_there(other_api, chats):
    assert ids(other_api.get("/chats")) == []
    assert ids(other_api.get("/chats?reference=r1")) == []
    assert errors(other_api.get(f"/chats/{chats[0].pk}")) == [("not_found", None)]


@pytest.mark.parametrize("path", [f"/chats/{NOBODYS}", "/chats/1", "/chats/", "/chats/%00"])
def test_what_does_not_exist_is_not_found(api, path):
    response = api.get(path)
    assert response.status_code == 404
    assert errors(response) == [("not_found", None)]
