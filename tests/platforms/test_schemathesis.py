"""Every operation of the OpenAPI document, asked with good and bad data that schemathesis makes up.

https://schemathesis.readthedocs.io/en/stable/guides/pytest/
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.factories import ALICE, BOB, CHARLIE, ELSA_IN_SWEDEN, OLIVIA_IN_AUSTRALIA, OMAR, SARA, make_api_key
from tests.platforms.operations import SCHEMA, World

# Not that of proxy_project.wsgi, which looks into the database when it is imported.
application = get_wsgi_application()

CONFIG = {
    # The same requests in every run: what fails here, fails everywhere.
    "seed": 1,
    "generation": {"mode": "all", "max-examples": 12, "deterministic": True, "no-shrink": True, "database": "none"},
    # The first asks for less than refuses_only_what_no_schema_says. The second takes for wrong what is right: a time
    # with an offset of more than 18 hours, or null for what may be null.
    "checks": {"positive_data_acceptance": {"enabled": False}},
    "phases": {"fuzzing": {"checks": {"negative_data_rejection": {"enabled": False}}}},
}
# Whoever obeys the schema must never be refused for one of these: it can say all of them.
SCHEMA_CAN_SAY = {
    "blank",
    "empty",
    "invalid",
    "invalid_choice",
    "max_length",
    "max_value",
    "min_length",
    "min_value",
    "not_a_list",
    "null",
    "required",
    "too_many_keys",
    "unknown_field",
    "unknown_parameter",
}
PHONE_NUMBERS = [SARA, OMAR, ALICE, BOB, CHARLIE, OLIVIA_IN_AUSTRALIA, ELSA_IN_SWEDEN]
schemathesis.openapi.format("phone-number", st.sampled_from(PHONE_NUMBERS))
# Nobody listens there, and no host has to be looked up.
schemathesis.openapi.format("uri", st.sampled_from(["http://127.0.0.1:9/events", "http://127.0.0.1:9/?a=b"]))

schema = schemathesis.openapi.from_dict(copy.deepcopy(SCHEMA), config=schemathesis.Config.from_dict(CONFIG))
schema.app = application


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """Let the WSGI application see what the test has not committed, as Django's test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def world(platform):
    return World(platform, (ALICE, BOB), "+14155550102")


@pytest.fixture
def headers(platform, settings):
    settings.READS_PER_MINUTE = settings.WRITES_PER_MINUTE = settings.CHATS_PER_DAY = 0
    return {"Authorization": f"Bearer {make_api_key(platform)}"}


@schemathesis.check
def refuses_only_what_no_schema_says(ctx: Any, response: Any, case: Any) -> None:
    if response.status_code == 400 and case.meta and case.meta.generation.mode.is_positive:
        codes = {error["code"] for error in response.json()["errors"]}
        assert not codes & SCHEMA_CAN_SAY, response.json()


@schema.parametrize()
@settings(suppress_health_check=list(HealthCheck), deadline=None)
def test_what_is_answered_is_what_is_documented(case, world, headers):
    if case.path_parameters and case.meta.generation.mode.is_positive:
        case.path_parameters = {name: world.find(name) for name in case.path_parameters}
    with transaction.atomic():
        response = case.call(base_url="http://localhost", headers=headers)
        case.validate_response(response, headers=headers)
        # Each request finds the world as it was.
        transaction.set_rollback(True)


def test_all_operations_are_tried():
    tried = {f"{result.ok().method} {result.ok().path}" for result in schema.get_all_operations()}
    assert tried == {f"{method} {path}" for path, methods in SCHEMA["paths"].items() for method in methods}
