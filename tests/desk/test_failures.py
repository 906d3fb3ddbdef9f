"""The inbox of failures: by reason, nothing is done without a confirmation or the right, and 100,000 are no matter."""

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import AuditEntry
from chats.services import end_chat
from desk import failures as inbox
from desk.models import Errand
from messaging.models import Message
from tests.admin.pages import words_of
from tests.factories import OMAR, SARA
from tests.messaging.rows import Kind, Status, ago, begin_log_anew, make_queued, make_relay, read_answers

pytestmark = pytest.mark.django_db

FAILURES = reverse("desk_failures")


def make_failed(writer, recipient, code="1180", **fields) -> Message:
    return make_relay(
        writer, recipient, "the secret words",
        **{"status": Status.FAILED, "failed_at": ago(hours=3), "sent_at": ago(hours=3), "error_code": code,
           "error_kind": "recipient", "error_detail": "The recipient's phone cannot be reached for now.", **fields},
    )  # fmt: skip


def act(client, action, *, confirmed=True, **what):
    fields = {"action": action, **what} | ({"confirmed": "yes"} if confirmed else {})
    return client.post(FAILURES, fields, follow=True)


def make_many(omar, count, **fields) -> None:
    Message.objects.bulk_create(
        Message(
            **{"direction": "out", "kind": "introduction", "status": Status.FAILED, "failed_at": ago(hours=3),
               "error_code": "1100", "error_kind": "carrier", "virtual_number_id": omar.virtual_number_id,
               "participant": omar, "chat_id": omar.chat_id, "body": "hello", **fields}
        )
        for _ in range(count)
    )  # fmt: skip


def test_failures_are_grouped_by_reason_in_words(operator, sara, omar):
    make_failed(sara, omar)
    make_failed(sara, omar)
    make_failed(omar, sara, code="1210", error_kind="carrier")
    make_failed(omar, sara, code="xyz", error_detail="Unknown to this service: ask +1 415 555 0199.")
    make_failed(omar, sara, code="", error_detail="")
    make_failed(omar, sara, code="7")
    make_failed(omar, sara, code="expired_at_carrier")
    page = words_of(operator.get(FAILURES))
    assert "2 The recipient's phone cannot be reached for now. It may work now: try again." in page
    assert "1 The carrier's spam filter refused the text." in page
    assert "Unknown to this service: ask •••." in page
    assert "1 Nobody said why." in page
    # Of the SMS API.
    assert "1 The recipient's phone was busy. It may work now: try again." in page
    assert "1 The carrier held the text for too long without reaching the phone." in page


def test_what_was_rightly_not_sent_is_not_there(operator, sara, omar):
    for code, kind in (("recipient_opted_out", "opt_out"), ("1240", "opt_out"), ("recipient_replaced", "recipient"),
                       ("chat_ended", "recipient")):  # fmt: skip
        make_failed(sara, omar, code=code, error_kind=kind)
    assert "Nothing has failed that nobody has seen to" in words_of(operator.get(FAILURES))


def test_no_number_and_no_text_is_on_any_page(operator, sara, omar):
    text = make_failed(sara, omar, error_detail=f"Absent: {OMAR}")
    pages = [
        operator.get(FAILURES),
        operator.get(FAILURES, {"reason": "1180"}),
        *(act(operator, action, confirmed=False, reason="1180") for action in Errand.Action.values),
        *(act(operator, action, confirmed=False, message=text.pk) for action in Errand.Action.values),
    ]
    for page in pages:
        assert page.status_code == 200
        digits = re.sub(r"\D", "", re.sub(r"(?:[0-9a-f]+-)+[0-9a-f]+|csrf[^>]+>", "", page.content.decode()))
        for secret in (SARA[1:], OMAR[1:]):
            assert secret not in digits
        assert "secret words" not in page.content.decode()


@pytest.mark.parametrize("action", Errand.Action.values)
def test_nothing_happens_before_it_is_confirmed(operator, sara, omar, action):
    text = make_failed(sara, omar)
    for what in ({"reason": "1180"}, {"message": text.pk}):
        page = words_of(act(operator, action, confirmed=False, **what))
        assert ("Sara" if action == "tell" else "Omar") in page
        text.refresh_from_db()
        assert text.status == Status.FAILED and text.handled_at is None
    assert not AuditEntry.objects.exclude(action__startswith="log").exists()


def test_a_confirmation_says_what_will_not_happen_and_why(operator, chat, sara, omar):
    make_failed(sara, omar)
    make_failed(sara, omar, may_have_arrived=True)
    page = words_of(act(operator, "resend", confirmed=False, reason="1180"))
    assert "1 text is sent again, to the person it was for" in page
    assert "Not 1: It may have arrived: an answer of the carrier was lost. It is not sent twice." in page
    end_chat(chat_id=chat.pk, reason="over", now=timezone.now())
    page = words_of(act(operator, "resend", confirmed=False, reason="1180"))
    assert "Nothing would happen: Not 2: Its chat is not open." in page
    assert "Send again" not in page


def test_a_group_and_one_text_are_sent_again(operator, sara, omar):
    texts = [make_failed(sara, omar) for _ in range(3)]
    assert "1 text is on its way again." in words_of(act(operator, "resend", message=texts[0].pk, reason="1180"))
    assert "2 texts are on their way again." in words_of(act(operator, "resend", reason="1180"))
    assert set(Message.objects.filter(kind=Kind.RELAY).values_list("status", flat=True)) == {Status.QUEUED}
    assert "Nothing has failed" in words_of(operator.get(FAILURES))
    assert AuditEntry.objects.filter(action="resent_text", actor_name="olga").count() == 3


def test_senders_are_told_and_failures_ticked_off(operator, sara, omar):
    make_failed(sara, omar)
    make_failed(omar, sara, code="1210")
    assert "The sender of 1 text is told." in words_of(act(operator, "tell", reason="1180"))
    assert [who for who, _ in read_answers()] == [sara.pk]
    assert "1 failure is ticked off." in words_of(act(operator, "tick_off", reason="1210"))
    assert "Nothing has failed" in words_of(operator.get(FAILURES))


class TestMany:
    def test_more_than_a_hundred_are_left_to_the_worker(self, operator, sara, omar):
        make_many(omar, 250)
        make_many(omar, 3, may_have_arrived=True)
        page = words_of(act(operator, "resend", confirmed=False, reason="1100"))
        assert "The worker sends all texts of this reason again, the oldest first." in page
        with CaptureQueriesContext(connection) as queries:
            page = words_of(act(operator, "resend", reason="1100"))
        assert len(queries) < 40
        assert "The worker goes through them now" in page
        assert not Message.objects.filter(status=Status.QUEUED).exists()
        # Asked for once more, it is done once.
        assert "still busy" in words_of(act(operator, "resend", reason="1100"))
        assert not inbox.run_errands()
        assert Message.objects.filter(status=Status.QUEUED).count() == 250
        errand = Errand.objects.get()
        assert (errand.done, errand.refused, bool(errand.finished_at)) == (250, 3, True)
        assert AuditEntry.objects.filter(action="resent_text", actor_name="olga").count() == 250
        assert "250 done, 3 left as they are; finished" in words_of(operator.get(FAILURES))

    def test_the_worker_goes_on_where_another_died(self, monkeypatch, operator, omar):
        make_many(omar, 250)
        act(operator, "tick_off", reason="1100")
        assert inbox.run_errands(run_seconds=0)
        assert Message.objects.filter(handled_at=None, status=Status.FAILED).count() == 150
        assert not inbox.run_errands()
        assert Errand.objects.get().done == 250

    def test_what_fails_later_is_not_meant(self, operator, omar):
        make_many(omar, 120)
        act(operator, "tick_off", reason="1100")
        make_many(omar, 1)
        Message.objects.filter(pk=Message.objects.order_by("position").values("pk")[:1]).update(
            failed_at=timezone.now()
        )
        inbox.run_errands()
        assert Message.objects.filter(handled_at=None, status=Status.FAILED).count() == 2

    @pytest.mark.slow
    def test_a_page_of_a_long_inbox_is_read_by_its_index(self, operator, omar):
        begin_log_anew()
        make_many(omar, 3_000)
        make_many(omar, 3_000, status=Status.DELIVERED)
        make_many(omar, 60, error_code="1180")
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE messaging_message")
            cursor.execute(f"EXPLAIN {inbox._GROUPS}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan" not in plan and "message_failed_unhandled" in plan, plan
        with CaptureQueriesContext(connection) as queries:
            page = operator.get(FAILURES, {"reason": "1180"})
        assert len(queries) <= 10
        assert len(page.context["texts"]) == 50
        older = operator.get(page.context["older"])
        assert len(older.context["texts"]) == 10
        for query in queries:
            if "messaging_message" in query["sql"]:
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN {query['sql']}")
                    plan = "\n".join(line for (line,) in cursor.fetchall())
                assert "Seq Scan on messaging_message" not in plan, plan

    def test_the_queries_of_the_inbox_do_not_grow(self, operator, sara, omar):
        make_failed(sara, omar)
        with CaptureQueriesContext(connection) as few:
            operator.get(FAILURES)
        for code in range(1100, 1130, 10):
            make_many(omar, 20, error_code=str(code))
        with CaptureQueriesContext(connection) as many:
            operator.get(FAILURES)
        assert len(many) == len(few) <= 8


class TestRights:
    @pytest.mark.parametrize("action", Errand.Action.values)
    def test_a_viewer_sees_no_button_and_can_do_nothing(self, viewer, sara, omar, action):
        text = make_failed(sara, omar)
        for page in (viewer.get(FAILURES), viewer.get(FAILURES, {"reason": "1180"})):
            assert page.status_code == 200
            assert not re.search("<button[^>]*desk-button", page.content.decode())
        assert act(viewer, action, message=text.pk, reason="1180").status_code == 403
        assert act(viewer, action, reason="1180").status_code == 403
        text.refresh_from_db()
        assert text.status == Status.FAILED and text.handled_at is None

    def test_nobody_without_the_right_to_see_texts(self, db):
        client = Client()
        assert client.get(FAILURES).status_code == 302
        user = User.objects.create_user("una", is_staff=True)
        client.force_login(user)
        assert client.get(FAILURES).status_code == 403
        user.user_permissions.add(Permission.objects.get(codename="change_message"))
        assert act(client, "resend", reason="1180").status_code == 403

    def test_only_by_a_post_with_its_token(self, sara, omar):
        text = make_failed(sara, omar)
        User.objects.create_superuser("olga", password="operators-only-1")
        client = Client(enforce_csrf_checks=True)
        client.force_login(User.objects.get(username="olga"))
        fields = {"action": "resend", "message": str(text.pk), "confirmed": "yes"}
        assert client.post(FAILURES, fields).status_code == 403
        assert client.get(FAILURES, fields).status_code == 200
        assert client.put(FAILURES, fields).status_code in (403, 405)
        text.refresh_from_db()
        assert text.status == Status.FAILED


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"action": "delete"}, 404),
        ({}, 404),
        ({"action": "resend", "message": "1 OR 1=1", "confirmed": "yes"}, 404),
        ({"action": "resend", "message": "01a1fe86-288a-76e6-99c4-602f3ce07490", "confirmed": "yes"}, 200),
        ({"action": "resend", "reason": "\x00", "confirmed": "yes"}, 200),
        ({"action": "tick_off", "reason": "x" * 1000, "confirmed": "yes"}, 200),
    ],
)
def test_nonsense_does_nothing(operator, db, fields, status):
    assert operator.post(FAILURES, fields, follow=True).status_code == status


def test_nonsense_in_the_address(operator, omar):
    make_queued(omar, status=Status.FAILED)
    for before in ("x", "-1", "9" * 40, "²"):
        assert operator.get(FAILURES, {"reason": "-", "before": before}).status_code == 200
