"""The OpenAPI document says of every operation what a key, a repeat and a limit do to it."""

import pytest

from tests.platforms.operations import OPERATIONS, SCHEMA


def resolve(node):
    if "$ref" not in node:
        return node
    found = SCHEMA
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def codes_of(response):
    examples = response["content"]["application/json"].get("examples", {})
    return {error["code"] for example in examples.values() for error in example["value"].get("errors", ())}


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
class TestEveryOperation:
    def test_documents_the_errors_that_any_may_give(self, operation):
        responses = operation.described["responses"]
        assert list(responses) == sorted(responses)
        expected = {"401": "authentication_failed", "429": "throttled"}
        if operation.writes:
            expected |= {"403": "read_only_key"}
        if operation.repeatable:
            expected |= {"409": "idempotency_key_in_use", "422": "idempotency_key_reused"}
        for status, code in expected.items():
            schema = resolve(responses[status]["content"]["application/json"]["schema"])
            assert schema["properties"].keys() == {"type", "errors"}
            assert code in codes_of(responses[status])
            assert code in responses[status]["description"] or status == "401"
        assert operation.writes or "403" not in responses
        assert operation.repeatable or "422" not in responses

    def test_documents_the_headers(self, operation):
        for status, response in operation.described["responses"].items():
            headers = response["headers"]
            assert all(resolve(header)["description"] for header in headers.values())
            assert ({"RateLimit", "RateLimit-Policy"} <= headers.keys()) == (status not in ("401", "403"))
            assert ("Idempotent-Replayed" in headers) == (operation.repeatable and status.startswith("2"))
            assert ("Retry-After" in headers) == (status == "429" or (status == "409" and operation.repeatable))

    def test_takes_an_idempotency_key_where_it_counts(self, operation):
        parameters = [resolve(parameter) for parameter in operation.described.get("parameters", ())]
        keys = [parameter for parameter in parameters if parameter["name"] == "Idempotency-Key"]
        assert len(keys) == operation.repeatable
        assert all((key["in"], key["required"], key["schema"]["maxLength"]) == ("header", False, 255) for key in keys)


def test_what_an_operation_says_itself_of_a_status_stays():
    conflict = next(o for o in OPERATIONS if str(o) == "post /chats").described["responses"]["409"]
    assert {"no_free_number", "takes_no_chats", "reference_taken", "idempotency_key_in_use"} == codes_of(conflict)
    assert "no_free_number" in conflict["description"] and "idempotency_key_in_use" in conflict["description"]
