"""Texts that were on their way when a backup was taken wait for an operator's word."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from chats.models import VirtualNumber
from messaging.claims import claim_texts
from messaging.models import Message
from messaging.overdue import settle_overdue
from messaging.restoring import HOLD_RESTORED, count_restored, fail_restored, send_restored
from tests.messaging.rows import Status, ago, make_queued

pytestmark = pytest.mark.django_db


@pytest.fixture
def texts(omar):
    later = timezone.now() + timedelta(hours=1)
    rows = {status: make_queued(omar, status=status) for status in ("queued", "sending", "unconfirmed", "preparing")}
    rows |= {f"{status} later": make_queued(omar, status=status, due_at=later) for status in ("scheduled", "held")}
    rows |= {status: make_queued(omar, status=status, due_at=ago(seconds=1)) for status in ("scheduled", "held")}
    rows["delivered"] = make_queued(omar, status=Status.DELIVERED, due_at=None)
    with connection.cursor() as cursor:
        cursor.execute(HOLD_RESTORED)
    return rows


def read(texts) -> dict[str, str]:
    statuses = dict(Message.objects.values_list("pk", "status"))
    return {name: statuses[text.pk] for name, text in texts.items()}


IN_DOUBT = ("queued", "sending", "unconfirmed", "preparing", "scheduled", "held")
CERTAIN = {"scheduled later": "scheduled", "held later": "held", "delivered": "delivered"}


def test_what_may_have_gone_out_waits_and_nothing_else(texts):
    settle_overdue()
    assert claim_texts(limit=10) == []
    assert read(texts) == dict.fromkeys(IN_DOUBT, "held") | CERTAIN
    assert sum(count_restored().values()) == len(IN_DOUBT)


def test_they_are_sent_when_the_operator_says_so(texts):
    assert send_restored() == {"sent": 0, "queued": 5, "failed": 1}
    assert read(texts) == dict.fromkeys(IN_DOUBT, "queued") | {"preparing": "failed"} | CERTAIN
    VirtualNumber.objects.update(next_send_at=ago(hours=1))
    assert claim_texts(limit=1)


def test_they_fail_when_the_operator_says_so(texts):
    assert fail_restored() == {"sent": 0, "failed": 6}
    assert read(texts) == dict.fromkeys(IN_DOUBT, "failed") | CERTAIN
    assert not count_restored()


def test_what_a_receipt_has_told_of_is_not_sent_again(texts):
    Message.objects.filter(pk=texts["queued"].pk).update(sent_at=timezone.now())
    assert send_restored() == {"sent": 1, "queued": 4, "failed": 1}
    assert read(texts)["queued"] == "sent"
