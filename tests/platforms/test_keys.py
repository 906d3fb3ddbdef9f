"""A platform's keys: what each may do, until when, and how an operator makes and ends them."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from rest_framework.test import APIClient

from chats.models import Chat
from platforms.models import ApiKey
from tests.chats.helpers import at_once, body, errors
from tests.factories import make_api_client, make_api_key, make_chat, make_platform, make_virtual_number

READ, WRITE = ApiKey.Role.READ, ApiKey.Role.WRITE


def client_of(key):
    return APIClient(headers={"Authorization": f"Bearer {key}"})


def run(*arguments):
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def reader(platform):
    return make_api_client(platform, role=READ)


class TestReadKey:
    def test_reads(self, reader, platform, virtual_number):
        chat = make_chat(platform)
        for path in ("/chats", f"/chats/{chat.pk}", f"/chats/{chat.pk}/messages"):
            assert reader.get(path).status_code == 200

    def test_is_refused_with_a_sentence_that_says_what_to_do(self, reader, virtual_number):
        response = reader.post("/chats", body())
        assert response.status_code == 403
        assert errors(response) == [("read_only_key", None)]
        assert "role `write`" in response.json()["errors"][0]["detail"]
        assert not Chat.objects.exists()

    def test_gets_no_answer_that_a_write_key_was_given(self, reader, api, virtual_number):
        key = {"Idempotency-Key": "k"}
        assert api.post("/chats", body(), headers=key).status_code == 201
        assert reader.post("/chats", body(), headers=key).status_code == 403


def test_a_key_that_is_not_told_its_role_writes(platform, virtual_number):
    assert client_of(make_api_key(platform)).post("/chats", body()).status_code == 201


class TestCreateApiKey:
    @pytest.mark.parametrize(
        "arguments, role, status",
        [([], WRITE, 201), (["--role", "write"], WRITE, 201), (["--role", "read"], READ, 403)],
    )
    def test_makes_a_key_with_a_role(self, platform, virtual_number, arguments, role, status):
        printed = json.loads(run("create_api_key", "Rides", "--name", "dispatch", "--json", *arguments))
        key = ApiKey.objects.get()
        assert (key.prefix, key.name, key.role) == (printed["prefix"], "dispatch", printed["role"])
        assert (key.role, key.platform, key.expiry_date) == (role, platform, None)
        assert client_of(printed["api_key"]).get("/chats").status_code == 200
        assert client_of(printed["api_key"]).post("/chats", body()).status_code == status

    @pytest.mark.parametrize(
        "expires, moment",
        [
            ("2130-01-31", datetime(2130, 1, 31, tzinfo=UTC)),
            ("2130-01-31T18:00Z", datetime(2130, 1, 31, 18, tzinfo=UTC)),
            ("2130-01-31T18:00", datetime(2130, 1, 31, 18, tzinfo=UTC)),
            ("2130-01-31 18:00+02:00", datetime(2130, 1, 31, 16, tzinfo=UTC)),
        ],
    )
    def test_makes_a_key_that_expires(self, platform, expires, moment):
        printed = run("create_api_key", "Rides", "--name", "audit", "--expires", expires)
        assert ApiKey.objects.get().expiry_date == moment
        assert f"until {moment:%Y-%m-%d %H:%M} UTC" in printed
        assert client_of(printed.split()[-1]).get("/chats").status_code == 200

    @pytest.mark.parametrize(
        "arguments, sentence",
        [
            (["Nobody", "--name", "x"], "no platform of this name"),
            (["Rides", "--name", "x", "--expires", "tomorrow"], "must be a date or a time"),
            (["Rides", "--name", "x", "--expires", "2030-02-31"], "must be a date or a time"),
            (["Rides", "--name", "x", "--expires", "2020-01-31"], "expired already"),
            (["Rides", "--name", " "], "cannot be blank"),
            (["Rides", "--name", "x" * 51], "at most 50"),
            (["Rides", "--name", "x", "--role", "admin"], "invalid choice"),
            (["Rides"], "--name"),
        ],
    )
    def test_says_in_one_sentence_why_not(self, platform, arguments, sentence):
        with pytest.raises(CommandError, match=sentence):
            run("create_api_key", *arguments)
        assert not ApiKey.objects.exists()


class TestRevokeApiKey:
    @pytest.mark.parametrize("what", ["prefix", "key"])
    def test_ends_one_key(self, platform, what):
        key, other = make_api_key(platform), make_api_key(platform)
        prefix = key.partition(".")[0]
        assert prefix in run("revoke_api_key", prefix if what == "prefix" else key)
        assert client_of(key).get("/chats").status_code == 401
        assert client_of(other).get("/chats").status_code == 200

    def test_prints_no_more_of_a_key_than_its_prefix(self, platform):
        key = make_api_key(platform)
        assert key.partition(".")[2] not in run("revoke_api_key", key)

    def test_says_when_there_is_none(self, platform):
        make_api_key(platform, revoked=True)
        for prefix in ("nonsense", "", ApiKey.objects.get().prefix):
            with pytest.raises(CommandError, match="No key in use"):
                run("revoke_api_key", prefix)


@pytest.mark.django_db(transaction=True)
def test_a_revoked_key_is_refused_at_once_by_threads_that_have_just_used_it():
    make_virtual_number()
    key = make_api_key(make_platform())

    def use_revoke_use():
        client = client_of(key)
        before = client.get("/chats").status_code
        ApiKey.objects.update(revoked=True)
        return before, client.get("/chats").status_code, client.post("/chats", body()).status_code

    for before, *after in at_once([use_revoke_use] * 4):
        assert before in (200, 401)
        assert after == [401, 401]


def test_an_expired_key_is_refused_from_its_moment_on(platform, time_machine):
    now = timezone.now()
    client = client_of(make_api_key(platform, expiry_date=now + timedelta(hours=1)))
    time_machine.move_to(now + timedelta(minutes=59), tick=False)
    assert client.get("/chats").status_code == 200
    time_machine.move_to(now + timedelta(hours=1, seconds=1), tick=False)
    assert client.get("/chats").status_code == 401


@pytest.mark.parametrize("command", ["create_api_key", "revoke_api_key"])
def test_help_says_what_a_command_is_for(command, capsys):
    with pytest.raises(SystemExit):
        call_command(command, "--help")
    assert "--json" in capsys.readouterr().out
