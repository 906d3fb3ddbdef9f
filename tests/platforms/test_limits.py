"""How much a platform may use, whichever process it asks."""

import re
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from chats import views
from chats.models import Chat
from platforms.models import Allowance, Platform
from tests.chats.helpers import at_once, body, errors
from tests.factories import SARA, make_api_client, make_api_key, make_chat, make_platform, make_pool

MINUTE = timedelta(minutes=1)


def limit(platform, **limits):
    Platform.objects.filter(pk=platform.pk).update(**limits)


def let_pass(time):
    """Let `time` pass for every allowance; the database's clock is the one that counts."""
    Allowance.objects.update(whole_at=F("whole_at") - time)


def rates(response):
    """Return {bucket: (quota, window, remaining, reset)} of what the headers say."""
    policies = re.findall(r'"(\w+)";q=(\d+);w=(\d+)', response.headers["RateLimit-Policy"])
    rests = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', response.headers["RateLimit"])
    assert [bucket for bucket, *_ in policies] == [bucket for bucket, *_ in rests]
    return {
        bucket: (int(quota), int(window), int(remaining), int(reset))
        for (bucket, quota, window), (_, remaining, reset) in zip(policies, rests, strict=True)
    }


def refused(response):
    assert response.status_code == 429
    assert errors(response) == [("throttled", None)]
    return int(response.headers["Retry-After"])


class TestRequestsAMinute:
    def test_so_many_at_once_and_then_evenly(self, api, platform):
        limit(platform, reads_per_minute=3)
        assert [rates(api.get("/chats"))["reads"][2] for _ in range(3)] == [2, 1, 0]
        assert refused(api.get("/chats")) == 20
        let_pass(timedelta(seconds=19))
        assert refused(api.get("/chats")) == 1
        let_pass(timedelta(seconds=1))
        assert api.get("/chats").status_code == 200
        assert refused(api.get("/chats")) == 20

    def test_a_refused_request_costs_nothing(self, api, platform):
        limit(platform, reads_per_minute=1)
        api.get("/chats")
        for _ in range(5):
            refused(api.get("/chats"))
        let_pass(MINUTE)
        assert api.get("/chats").status_code == 200

    def test_what_is_not_used_does_not_add_up(self, api, platform):
        limit(platform, reads_per_minute=2)
        api.get("/chats")
        let_pass(timedelta(days=365))
        assert [api.get("/chats").status_code for _ in range(3)] == [200, 200, 429]

    @pytest.mark.parametrize("quota", [1, 7, 13])
    def test_the_whole_quota_is_there_whatever_the_number(self, api, platform, quota):
        limit(platform, reads_per_minute=quota)
        statuses = Counter(api.head("/chats/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11").status_code for _ in range(quota))
        assert statuses == {404: quota}
        refused(api.get("/chats"))

    def test_reads_and_writes_are_counted_apart(self, api, platform, virtual_number):
        limit(platform, reads_per_minute=1, writes_per_minute=1)
        assert api.get("/chats").status_code == 200
        assert api.post("/chats", body()).status_code == 201
        refused(api.get("/chats"))
        refused(api.post("/chats", body()))

    def test_every_key_of_a_platform_counts_and_other_platforms_do_not(self, api, platform, other_api):
        limit(platform, reads_per_minute=1)
        api.get("/chats")
        refused(make_api_client(platform).get("/chats"))
        assert other_api.get("/chats").status_code == 200

    def test_what_is_refused_or_repeated_counts_as_a_request(self, api, platform, virtual_number):
        limit(platform, writes_per_minute=3)
        key = {"Idempotency-Key": "k"}
        for asked, status in (({}, 400), (body(), 201), (body(), 201)):
            assert api.post("/chats", asked, headers=key).status_code == status
        refused(api.post("/chats", body(), headers=key))

    def test_a_failure_of_ours_that_is_rolled_back_counts_too(self, api, platform, virtual_number, monkeypatch):
        limit(platform, writes_per_minute=1)
        api.raise_request_exception = False
        monkeypatch.setattr("chats.views.start_chat", lambda **_: 1 / 0)
        assert api.post("/chats", body(), headers={"Idempotency-Key": "k"}).status_code == 500
        refused(api.post("/chats", body(), headers={"Idempotency-Key": "k"}))

    def test_the_refusal_says_what_the_limit_is_and_what_to_do(self, api, platform):
        limit(platform, reads_per_minute=1)
        api.get("/chats")
        [error] = api.get("/chats").json()["errors"]
        assert "1 reads a minute" in error["detail"] and "in 60 seconds" in error["detail"]


class TestChatsADay:
    def test_no_more_than_so_many(self, api, platform):
        make_pool(3)
        limit(platform, chats_per_day=2)
        assert [rates(api.post("/chats", body()))["chats"][2] for _ in range(2)] == [1, 0]
        assert refused(api.post("/chats", body())) == 12 * 3600
        assert "2 new chats a day" in api.post("/chats", body()).json()["errors"][0]["detail"]
        assert Chat.objects.count() == 2
        let_pass(timedelta(hours=12))
        assert api.post("/chats", body()).status_code == 201

    def test_what_starts_no_chat_uses_none(self, api, platform, virtual_number):
        limit(platform, chats_per_day=2)
        key = {"Idempotency-Key": "k"}
        assert api.post("/chats", body(reference="r"), headers=key).status_code == 201
        for asked, headers, status in (
            ({}, {}, 400),
            (body(SARA, SARA), {}, 400),
            (body(), {}, 409),
            (body(reference="r"), {}, 200),
            (body(reference="r"), key, 201),
        ):
            response = api.post("/chats", asked, headers=headers)
            assert (response.status_code, rates(response)["chats"][2]) == (status, 1)

    def test_a_request_that_writes_too_much_uses_none(self, api, platform, virtual_number):
        limit(platform, chats_per_day=2, writes_per_minute=1)
        api.post("/chats", {})
        response = api.post("/chats", body())
        assert refused(response) == 60
        assert rates(response)["chats"][2] == 2

    def test_ending_a_chat_is_possible_when_they_are_used_up(self, api, platform, virtual_number):
        limit(platform, chats_per_day=1)
        chat = api.post("/chats", body()).json()
        refused(api.post("/chats", body()))
        assert api.post(f"/chats/{chat['id']}/end").status_code == 200


class TestWhatTheLimitsAre:
    def test_those_of_the_settings(self, api, settings):
        settings.READS_PER_MINUTE, settings.WRITES_PER_MINUTE, settings.CHATS_PER_DAY = 40, 30, 20
        assert rates(api.get("/chats")) == {"reads": (40, 60, 39, 2)}
        assert rates(api.post("/chats", {})) == {"writes": (30, 60, 29, 2), "chats": (20, 86400, 20, 0)}

    def test_those_of_the_platform_before_those_of_the_settings(self, api, platform, settings):
        settings.READS_PER_MINUTE = 40
        limit(platform, reads_per_minute=5)
        assert rates(api.get("/chats"))["reads"][:3] == (5, 60, 4)

    @pytest.mark.parametrize("own, usual", [(None, 0), (0, 1)])
    def test_none_where_one_says_zero(self, api, platform, settings, own, usual):
        settings.READS_PER_MINUTE = usual
        limit(platform, reads_per_minute=own)
        responses = [api.get("/chats") for _ in range(3)]
        assert {response.status_code for response in responses} == {200}
        assert not any("RateLimit" in response.headers for response in responses)
        assert not Allowance.objects.exists()

    def test_a_limit_that_is_changed_counts_at_once(self, api, platform):
        limit(platform, reads_per_minute=1)
        api.get("/chats")
        refused(api.get("/chats"))
        limit(platform, reads_per_minute=60)
        let_pass(timedelta(seconds=1))
        assert api.get("/chats").status_code == 200


def test_who_shows_no_key_that_works_counts_for_nobody(client, platform):
    revoked = make_api_key(platform, revoked=True)
    for headers in ({}, {"Authorization": f"Bearer {revoked}"}):
        response = client.get("/chats", headers=headers)
        assert response.status_code == 401
        assert "RateLimit" not in response.headers
    assert not Allowance.objects.exists()


@pytest.mark.parametrize("method, path", [
    ("get", "/healthz"), ("get", "/schema"), ("get", "/docs"), ("get", "/admin/login/"),
    ("post", "/webhooks/inbound"), ("post", "/webhooks/status"),
])  # fmt: skip
def test_what_is_not_the_api_has_no_limit(client, db, settings, method, path):
    settings.READS_PER_MINUTE = settings.WRITES_PER_MINUTE = 1
    responses = [getattr(client, method)(path) for _ in range(3)]
    assert 429 not in {response.status_code for response in responses}
    assert not any("RateLimit" in response.headers for response in responses)


def test_the_allowances_are_not_logged_for_recovery(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'platforms_allowance'")
        assert cursor.fetchone() == ("u",)


class TestAtOnce:
    pytestmark = pytest.mark.django_db(transaction=True)

    def test_no_more_are_let_in_than_there_are(self):
        platform = make_platform(reads_per_minute=10)
        # Each thread has a connection of its own, as processes have.
        clients = [make_api_client(platform) for _ in range(8)]
        calls = [lambda client=client: [client.get("/chats").status_code for _ in range(4)] for client in clients]
        statuses = Counter(status for statuses in at_once(calls) for status in statuses)
        assert statuses == {200: 10, 429: 22}

    def test_no_more_chats_are_started_than_there_are(self):
        make_pool(10)
        platform = make_platform(chats_per_day=4)
        people = [body(f"+1415555013{n}", f"+1415555014{n}") for n in range(8)]
        api = make_api_client(platform)
        statuses = Counter(r.status_code for r in at_once([lambda a=a: api.post("/chats", a) for a in people]))
        assert statuses == {201: 4, 429: 4}
        assert Chat.objects.count() == 4

    def test_a_request_at_work_keeps_no_other_waiting(self, monkeypatch):
        make_pool(2)
        platform = make_platform()
        api = make_api_client(platform)
        chat = make_chat(platform)
        started = views.start_chat

        def start_while_another_writes(**asked):
            result = started(**asked)
            [ended] = at_once([lambda: api.post(f"/chats/{chat.pk}/end").status_code])
            assert ended == 200
            return result

        monkeypatch.setattr(views, "start_chat", start_while_another_writes)
        assert api.post("/chats", body(), headers={"Idempotency-Key": "k"}).status_code == 201
