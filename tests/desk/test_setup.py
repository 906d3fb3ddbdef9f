"""Set-up: what is missing, what to do, and a test for each; a number typed in is kept nowhere."""

import re

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEntry
from chats.models import VirtualNumber
from desk.counting import count_figures
from messaging.models import Message, OptOut
from platforms.models import Event, WebhookEndpoint
from proxy_project.encryption import digest_number
from tests.admin.pages import words_of
from tests.factories import ALICE, make_api_key, make_platform, make_virtual_number
from tests.messaging.rows import ago, make_relay

pytestmark = pytest.mark.django_db

SETUP = reverse("desk_setup")
HOME = reverse("admin:index")


def states(client) -> dict[str, str]:
    response = client.get(SETUP)
    assert response.status_code == 200
    return {step.name: step.state for step in response.context["steps"]}


def try_out(client, test, **fields):
    return client.post(SETUP, {"test": test, **fields}, follow=True)


def test_at_first_everything_is_missing(operator):
    assert set(states(operator).values()) == {"missing", "unknown"}
    page = words_of(operator.get(SETUP))
    assert "7 things are left" in page
    for what in ("/webhooks/inbound", "Add a number", "Add a platform", "Add an endpoint", "manage.py send_texts"):
        assert what in page


def test_each_thing_is_ticked_when_it_is_there(operator, sara, omar, platform):
    make_relay(sara, omar)
    assert states(operator)["number"] == states(operator)["webhooks"] == "done"
    assert states(operator)["platform"] == "missing"
    make_api_key(platform, revoked=True)
    assert states(operator)["platform"] == "missing"
    make_api_key(platform)
    WebhookEndpoint.objects.create(platform=platform, url="https://example.com/x", secret="x")
    count_figures(now=timezone.now())
    found = states(operator)
    assert found["platform"] == found["endpoint"] == found["worker"] == "done"
    assert found["sender"] == "missing"
    assert "Something is still to be set up." in words_of(operator.get(HOME))


@pytest.mark.django_db(transaction=True)
def test_a_sender_that_listens_is_seen(operator):
    parameters = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "pool"):
        parameters.pop(name, None)
    with psycopg.connect(**parameters, autocommit=True) as listener:
        listener.execute("LISTEN texts_queued")
        assert states(operator)["sender"] == "done"


def test_the_queries_are_few(operator, sara, omar):
    make_relay(sara, omar)
    operator.get(SETUP)
    with CaptureQueriesContext(connection) as queries:
        operator.get(SETUP)
    assert len(queries) <= 8


def test_the_account_is_checked(operator, vonage):
    page = words_of(try_out(operator, "account"))
    assert "Sending" in page and "Balance" in page
    assert states(operator)["account"] == "done"
    assert AuditEntry.objects.filter(action="checked_account", actor_name="olga").exists()


def test_endpoints_are_pinged(operator, platform):
    WebhookEndpoint.objects.create(platform=platform, url="https://example.com/x", secret="x")
    assert "Rides: a ping is on its way" in words_of(try_out(operator, "endpoint"))
    assert Event.objects.get().type == "ping"
    assert AuditEntry.objects.filter(action="pinged_endpoint").exists()


class TestTheTestText:
    def test_it_is_sent_and_the_number_is_kept_nowhere(self, operator, vonage, capfd):
        make_virtual_number()
        page = words_of(try_out(operator, "text", phone_number="+1 (415) 555-0125"))
        assert "Vonage has taken it" in page, page
        digits = ALICE[-10:]
        assert digits not in page
        assert not Message.objects.exists()
        for entry in AuditEntry.objects.all():
            assert digits not in f"{entry.reason}{entry.fields}{entry.object_id}"
        assert AuditEntry.objects.filter(action="sent_test_text").count() == 1
        assert not any(digits in str(session.get_decoded()) for session in Session.objects.all())
        assert digits not in "".join(capfd.readouterr())

    def test_what_is_no_number_is_not_shown_again(self, operator, vonage):
        make_virtual_number()
        response = try_out(operator, "text", phone_number="415 555 0125")
        assert response.status_code == 200
        assert "Write the number internationally" in words_of(response)
        assert "415 555 0125" not in response.content.decode()

    def test_who_has_opted_out_gets_none(self, operator, vonage):
        number = make_virtual_number()
        OptOut.objects.create(
            virtual_number=number, phone_digest=digest_number(ALICE), scope="number", source="text", created_at=ago()
        )
        assert "This number has opted out" in words_of(try_out(operator, "text", phone_number=ALICE))
        assert not AuditEntry.objects.filter(action="sent_test_text").exists()

    def test_without_a_number_there_is_nothing_to_send_from(self, operator):
        VirtualNumber.objects.all().delete()
        assert "No virtual number is active" in words_of(try_out(operator, "text", phone_number=ALICE))


class TestRights:
    @pytest.mark.parametrize("test", ["account", "endpoint", "text"])
    def test_a_viewer_can_try_nothing_and_sees_no_button(self, viewer, test):
        make_virtual_number()
        WebhookEndpoint.objects.create(platform=make_platform(), url="https://example.com/x", secret="x")
        assert not re.search("<button[^>]*desk-button", viewer.get(SETUP).content.decode())
        assert try_out(viewer, test, phone_number=ALICE).status_code == 403
        assert not Event.objects.exists() and not AuditEntry.objects.filter(action="sent_test_text").exists()

    def test_nobody_without_a_login(self, client, db):
        assert client.get(SETUP).status_code == 302
        assert client.post(SETUP, {"test": "account"}).status_code == 302

    def test_there_is_no_other_test(self, operator):
        assert try_out(operator, "everything").status_code == 404
