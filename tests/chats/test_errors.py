"""Every error has one shape, whoever makes it."""

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from tests.chats.helpers import body, errors

ENDPOINTS = [
    ("get", "/chats"),
    ("post", "/chats"),
    ("get", "/chats/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11"),
    ("get", "/chats/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11/messages"),
    ("post", "/chats/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11/end"),
    ("get", "/events"),
    ("get", "/events/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11"),
    ("post", "/events/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11/redeliver"),
    ("get", "/webhook-endpoints"),
    ("post", "/webhook-endpoints"),
    ("post", "/webhook-endpoints/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11/rotate-secret"),
    ("post", "/webhook-endpoints/0198f2c4-6a10-7c3e-9d55-0b6d4c1f2a11/ping"),
]


@pytest.mark.parametrize("path", ["/", "/nothing", "/chats/", "/Chats", "/chats/x/end", "/webhooks/nothing", "/%ff"])
def test_a_url_that_there_is_not(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert errors(response) == [("not_found", None)]


@pytest.mark.parametrize("method, path", ENDPOINTS)
def test_a_method_that_there_is_not(api, method, path):
    response = api.delete(path)
    assert response.status_code == 405
    assert errors(response) == [("method_not_allowed", None)]


def test_a_host_that_is_not_ours(client):
    response = client.get("/healthz", headers={"Host": "evil.example.com"})
    assert response.status_code == 400
    assert errors(response) == [("bad_request", None)]


def test_a_format_we_do_not_speak(api):
    response = api.get("/chats", headers={"Accept": "text/html"})
    assert response.status_code == 406
    assert errors(response) == [("not_acceptable", None)]


def test_a_failure_of_ours_within_the_api(api, virtual_number, monkeypatch):
    def fail(**_):
        raise RuntimeError("the detail stays here")

    monkeypatch.setattr("chats.views.start_chat", fail)
    api.raise_request_exception = False
    response = api.post("/chats", body())
    assert response.status_code == 500
    assert errors(response) == [("error", None)]
    assert "detail stays" not in response.content.decode()


def test_a_failure_of_ours_outside_it(monkeypatch):
    def fail():
        raise OperationalError("the detail stays here")

    monkeypatch.setattr("proxy_project.health.connection.cursor", fail)
    response = APIClient(raise_request_exception=False).get("/healthz")
    assert response.status_code in (500, 503)
    assert "detail stays" not in response.content.decode()
