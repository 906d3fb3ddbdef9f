"""/schema and /docs, which need no key and load nothing from elsewhere."""

import json
import re

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient


@pytest.fixture
def schema():
    response = APIClient(headers={"Accept": "application/vnd.oai.openapi+json"}).get("/schema")
    assert response.status_code == 200
    return json.loads(response.content)


def test_the_schema_is_valid_and_complete_enough_to_give_no_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(tmp_path / "schema.yml"))


def test_every_operation_is_described(schema):
    operations = {
        f"{method} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) >= {
        "get /chats",
        "post /chats",
        "get /chats/{chat_id}",
        "get /chats/{chat_id}/messages",
        "patch /chats/{chat_id}",
        "post /chats/{chat_id}/end",
        "post /chats/{chat_id}/reopen",
        "post /chats/{chat_id}/participants/{participant_id}/replace",
        "get /virtual-numbers",
    }
    for operation in operations.values():
        assert operation["summary"] and operation["description"] and operation["tags"]
        assert operation["security"] == [{"apiKey": []}]
        assert {"401", "500"} <= set(operation["responses"])
    assert schema["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"


def test_starting_a_chat_has_examples_of_what_to_send_and_what_may_come_back(schema):
    operation = schema["paths"]["/chats"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["examples"]
    for status in ("200", "201", "400", "409"):
        assert operation["responses"][status]["content"]["application/json"]["examples"], status
    assert {"413", "415"} <= set(operation["responses"])


def test_the_examples_are_what_the_api_shows(schema, api, virtual_number):
    operation = schema["paths"]["/chats"]["post"]
    [asked, *_] = operation["requestBody"]["content"]["application/json"]["examples"].values()
    [promised] = operation["responses"]["201"]["content"]["application/json"]["examples"].values()
    response = api.post("/chats", asked["value"])
    assert response.status_code == 201
    shown = response.json()
    assert shown.keys() == promised["value"].keys()
    for mine, example in zip(shown["participants"], promised["value"]["participants"], strict=True):
        assert (mine["name"], mine["phone_number"]) == (example["name"], example["phone_number"])
        assert mine.keys() == example.keys()
        assert mine["introduction"].keys() == example["introduction"].keys()
    messages = schema["paths"]["/chats/{chat_id}/messages"]["get"]
    [example] = messages["responses"]["200"]["content"]["application/json"]["examples"].values()
    [message, _] = api.get(f"/chats/{shown['id']}/messages").json()["results"]
    assert message.keys() == example["value"]["results"][0].keys()


def test_the_page_loads_everything_from_here(client):
    response = client.get("/docs")
    assert response.status_code == 200
    page = response.content.decode()
    loaded = re.findall(r"""(?:src|href)="([^"]+)\"""", page)
    assert len(loaded) >= 3
    for url in loaded:
        assert url.startswith(("/static/", "/docs?script="))
        served = client.get(url)
        assert served.status_code == 200
        assert b"".join(served.streaming_content) if served.streaming else served.content
    assert not re.search(r"https?://", page)
    script = client.get("/docs?script=").content.decode().replace("\\u002D", "-")
    assert '"/schema"' in script or "/schema" in script


@pytest.mark.parametrize("path", ["/schema", "/docs"])
def test_both_are_public_even_with_a_wrong_key(path):
    assert APIClient(headers={"Authorization": "Bearer nonsense"}).get(path).status_code == 200
