"""One platform never sees or touches what is another's: tried at every operation of the OpenAPI document."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from platforms.api import PlatformView
from platforms.models import ApiKey
from proxy_project import urls
from tests.chats.helpers import errors
from tests.factories import ALICE, BOB, CHARLIE, OLIVIA_IN_AUSTRALIA, make_api_client, make_virtual_number
from tests.platforms.operations import ON_ONE_OBJECT, OPERATIONS, WRITING, World

# What a request may move without touching anything of the other platform's.
OF_EVERY_REQUEST = {"platforms_allowance"}


@pytest.fixture
def theirs(other_platform):
    return World(other_platform, (ALICE, BOB), "+14155550102")


@pytest.fixture
def mine(platform):
    # For the example that starts a chat.
    make_virtual_number("+14155550103", platform=platform)
    return World(platform, (CHARLIE, OLIVIA_IN_AUSTRALIA), "+14155550101")


def snapshot():
    """Return every row of ours, but when keys were last used."""
    rows = {}
    with connection.cursor() as cursor:
        for model in (
            model for app in ("platforms", "chats", "messaging") for model in apps.get_app_config(app).get_models()
        ):
            table = model._meta.db_table
            if table not in OF_EVERY_REQUEST:
                cursor.execute(f"SELECT to_jsonb(t) - 'last_used_at' FROM {table} AS t ORDER BY 1")
                rows[table] = cursor.fetchall()
    return rows


def values_of(operation, world):
    return {parameter: world.find(parameter) for parameter in operation.parameters}


def test_there_is_something_to_try():
    assert len(OPERATIONS) >= 5 and len(ON_ONE_OBJECT) >= 3 and len(WRITING) >= 2


def test_the_document_knows_every_view_of_the_api_and_all_of_them_are_held_to_the_same_rules():
    views = {
        str(pattern.pattern): pattern.callback.cls
        for pattern in urls.urlpatterns
        if hasattr(pattern.callback, "cls") and not pattern.callback.cls.__module__.startswith("drf_spectacular")
    }
    strangers = [view.__name__ for view in views.values() if not issubclass(view, PlatformView)]
    assert not strangers, f"These must have PlatformView (platforms/api.py) as their first base: {strangers}"
    assert len(views) == len({operation.path for operation in OPERATIONS})


@pytest.mark.parametrize("operation", ON_ONE_OBJECT, ids=str)
class TestAnotherPlatformsObject:
    def test_is_not_there_and_stays_as_it_is(self, api, mine, theirs, operation):
        before = snapshot()
        own = values_of(operation, mine)
        # All of the path is theirs, or a single part of it.
        for stolen in [operation.parameters, *([parameter] for parameter in operation.parameters)]:
            response = operation.call(api, own | {parameter: theirs.find(parameter) for parameter in stolen})
            assert response.status_code == 404, response.content
            assert errors(response) == [("not_found", None)]
            assert snapshot() == before

    def test_is_not_there_for_a_repeat_either(self, api, other_api, mine, theirs, operation):
        key = {"Idempotency-Key": "the same"}
        operation.call(other_api, values_of(operation, theirs), **key)
        assert operation.call(api, values_of(operation, theirs), **key).status_code == 404

    def test_is_there_for_its_owner(self, api, mine, operation):
        """What the tests above send is a good request, but for whose it is."""
        response = operation.call(api, values_of(operation, mine))
        assert response.status_code not in (400, 401, 403, 404, 405, 413, 415, 422), response.content


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
class TestWhoeverHasNoKeyThatWorks:
    @pytest.mark.parametrize("key", ["none", "nonsense", "revoked", "expired"])
    def test_is_refused_and_changes_nothing(self, platform, mine, operation, key):
        client = {
            "none": lambda: APIClient(),
            "nonsense": lambda: APIClient(headers={"Authorization": "Bearer nonsense"}),
            "revoked": lambda: make_api_client(platform, revoked=True),
            "expired": lambda: make_api_client(platform, expiry_date=timezone.now() - timedelta(seconds=1)),
        }[key]()
        before = snapshot()
        response = operation.call(client, values_of(operation, mine))
        assert response.status_code == 401
        assert errors(response)[0][0] == ("not_authenticated" if key == "none" else "authentication_failed")
        assert snapshot() == before


@pytest.mark.parametrize("operation", WRITING, ids=str)
def test_a_read_key_writes_nothing(platform, mine, operation):
    client = make_api_client(platform, role=ApiKey.Role.READ)
    before = snapshot()
    response = operation.call(client, values_of(operation, mine))
    assert (response.status_code, errors(response)) == (403, [("read_only_key", None)])
    assert snapshot() == before


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if not operation.writes], ids=str)
def test_a_read_key_reads_and_sees_nothing_of_others(platform, mine, theirs, operation):
    response = operation.call(make_api_client(platform, role=ApiKey.Role.READ), values_of(operation, mine))
    assert response.status_code == 200
    for secret in (str(theirs.chat.pk), str(theirs.platform.pk), theirs.chat.reference, "+14155550102"):
        assert secret not in response.getvalue().decode()


@pytest.mark.parametrize("operation", [operation for operation in WRITING if operation.repeatable], ids=str)
def test_every_post_and_patch_may_be_repeated(api, mine, operation):
    key = {"Idempotency-Key": "the same"}
    first, second = (operation.call(api, values_of(operation, mine), **key) for _ in range(2))
    assert first.status_code == second.status_code
    if first.status_code < 300:
        assert "Idempotent-Replayed" not in first.headers
        assert second.headers["Idempotent-Replayed"] == "true"
        assert second.content == first.content


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_answer_says_what_is_left_of_the_limits(api, mine, operation):
    response = operation.call(api, values_of(operation, mine))
    bucket = "writes" if operation.writes else "reads"
    assert response.headers["RateLimit-Policy"].startswith(f'"{bucket}";q=')
    assert response.headers["RateLimit"].startswith(f'"{bucket}";r=')
