"""The OpenAPI document is complete: whoever reads it needs to try nothing out."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from platforms.event_types import EVENT_TYPES
from tests.platforms.operations import OPERATIONS, SCHEMA

WEBHOOKS = {name: methods["post"] for name, methods in SCHEMA["webhooks"].items()}
TAGS = {tag["name"]: tag["description"] for tag in SCHEMA["tags"]}


def check_examples(content: dict[str, Any]) -> None:
    """Fail unless there is an example, and each obeys the schema beside it."""
    media = content["application/json"]
    assert media["examples"]
    validator = Draft202012Validator(
        {**media["schema"], "components": SCHEMA["components"]}, format_checker=FormatChecker()
    )
    for name, example in media["examples"].items():
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(example["value"])]
        assert not errors, f"{name}: {errors}"


def codes_of(response: dict[str, Any]) -> set[str]:
    examples = response["content"]["application/json"]["examples"].values()
    return {error["code"] for example in examples for error in example["value"]["errors"]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
class TestEveryOperation:
    def test_says_what_it_is_for(self, operation):
        described = operation.described
        assert described["summary"] and described["description"] and described["operationId"]
        assert described["security"] == [{"apiKey": []}]
        [tag] = described["tags"]
        assert TAGS.get(tag), f"Describe the tag {tag!r} in SPECTACULAR_SETTINGS (proxy_project/settings.py)."

    def test_has_an_example_of_what_to_send_that_its_schema_allows(self, operation):
        if "requestBody" in operation.described:
            check_examples(operation.described["requestBody"]["content"])

    def test_has_an_example_of_every_answer_that_its_schema_allows(self, operation):
        for status, response in operation.described["responses"].items():
            assert response["description"] or status.startswith("2"), status
            assert "content" in response or status == "204"
            if "content" in response:
                check_examples(response["content"])

    def test_has_an_example_of_every_error_it_names(self, operation):
        for status, response in operation.described["responses"].items():
            if status >= "400":
                named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", response["description"]))
                assert codes_of(response) >= named, status


@pytest.mark.parametrize("name", WEBHOOKS)
def test_every_webhook_is_described_with_an_example_and_the_headers_that_sign_it(name):
    webhook = WEBHOOKS[name]
    assert webhook["summary"] == name and webhook["description"] and "security" not in webhook
    check_examples(webhook["requestBody"]["content"])
    references = [parameter["$ref"].rpartition("/")[2] for parameter in webhook["parameters"]]
    headers = {SCHEMA["components"]["parameters"][reference]["name"] for reference in references}
    assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}


def test_every_event_has_a_webhook():
    assert set(WEBHOOKS) == {type.value for type in EVENT_TYPES}


def test_the_document_says_where_the_api_is(settings):
    assert SCHEMA["servers"] == [{"url": settings.PUBLIC_URL}]
    assert SCHEMA["info"]["description"] and SCHEMA["info"]["version"]


def test_every_tag_is_used():
    assert set(TAGS) == {tag for operation in OPERATIONS for tag in operation.described["tags"]}
