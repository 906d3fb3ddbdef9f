"""A carrier that says to slow down: one number, or the account as a whole."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from chats.models import VirtualNumber
from messaging import pauses, sender
from messaging.claims import Claim, claim_texts
from messaging.gateways import OutboundText, Outcome, SendError
from messaging.models import GatewayAccount, Message
from messaging.results import Result, record_results
from messaging.throttling import Throttling
from tests.factories import make_pool
from tests.harness.simulator import wait_until
from tests.messaging.rows import Status, ago, make_strangers_queued
from tests.messaging.senders import running_sender

A, B, C, D = (uuid4() for _ in range(4))
PROBE = uuid4()
SLOW_DOWN = SendError(Outcome.AGAIN, "429", "Vonage asked to slow down.", retry_after=15, throttled=True)
OTHER = SendError(Outcome.AGAIN, "500", "Vonage has an internal error.")


def result_of(number, error: SendError | None) -> Result:
    claim = Claim(uuid4(), 1, number, "", "", "", timezone.now(), is_probe=number == PROBE)
    return Result(claim, error=error) if error else Result(claim, gateway_id="id")


@pytest.mark.parametrize(
    ("answers", "pauses_at"),
    [
        ([(A, SLOW_DOWN), (A, SLOW_DOWN), (A, SLOW_DOWN), (A, SLOW_DOWN)], []),
        ([(A, SLOW_DOWN), (B, SLOW_DOWN), (A, SLOW_DOWN), (B, SLOW_DOWN)], []),
        ([(A, SLOW_DOWN), (B, SLOW_DOWN), (C, SLOW_DOWN), (D, SLOW_DOWN)], [2]),
        ([(A, SLOW_DOWN), (B, SLOW_DOWN), (D, None), (C, SLOW_DOWN)], []),
        ([(A, SLOW_DOWN), (B, SLOW_DOWN), (D, OTHER), (C, SLOW_DOWN)], [3]),
        ([(A, OTHER), (B, OTHER), (C, OTHER), (D, OTHER)], []),
        ([(PROBE, SLOW_DOWN), (PROBE, OTHER), (PROBE, SLOW_DOWN), (PROBE, None)], [0, 2]),
    ],
)
def test_several_numbers_in_a_row_are_the_account(answers, pauses_at):
    throttling = Throttling()
    judged = [throttling.judge(result_of(*answer), at=100 + index / 2) for index, answer in enumerate(answers)]
    errors = [each.error for each in judged]
    assert [at for at, error in enumerate(errors) if error and error.outcome is Outcome.PAUSE] == pauses_at
    assert all(errors[at].retry_after == 15 for at in pauses_at)


@pytest.mark.parametrize(("seconds", "is_account"), [(0.1, True), (0.9, True), (1.1, False), (60, False)])
def test_numbers_that_are_hit_one_by_one_are_not_the_account(seconds, is_account):
    throttling = Throttling()
    hits = [
        throttling.judge(result_of(number, SLOW_DOWN), at=index * seconds) for index, number in enumerate((A, B, C))
    ]
    assert [hit.error.outcome is Outcome.PAUSE for hit in hits if hit.error] == [False, False, is_account]


def test_another_number_is_tried_than_those_that_were_hit(db):
    for number in make_pool(4):
        make_strangers_queued(number, 2)
    VirtualNumber.objects.update(next_send_at=ago(hours=1), messages_per_second=1)
    throttling = Throttling()
    claims = claim_texts(limit=3)
    record_results([throttling.judge(Result(each, error=SLOW_DOWN), at=0) for each in claims])
    assert pauses.read_pause() is not None
    GatewayAccount.objects.update(probe_at=ago(minutes=1))
    [probe] = claim_texts(limit=3)
    assert probe.virtual_number_id not in {each.virtual_number_id for each in claims}
    assert set(Message.objects.exclude(pk=probe.id).values_list("status", "attempts")) <= {("queued", 0), ("queued", 1)}
    record_results([throttling.judge(Result(probe, gateway_id="id"), at=0)])
    assert pauses.read_pause() is None
    resting = VirtualNumber.objects.filter(next_send_at__gt=timezone.now() + timedelta(seconds=10))
    assert {number.pk for number in resting} == {each.virtual_number_id for each in claims}


@pytest.mark.django_db
def test_a_paused_account_is_tried_after_a_minute_whatever_it_was_told():
    record_results([result_of(A, SendError(Outcome.PAUSE, "429", SLOW_DOWN.detail, retry_after=3600))])
    left = GatewayAccount.objects.get().probe_at - timezone.now()
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


@pytest.mark.django_db
def test_a_paused_account_waits_as_long_as_it_was_told():
    account_throttled = SendError(Outcome.PAUSE, "429", SLOW_DOWN.detail, retry_after=15)
    record_results([result_of(A, account_throttled)])
    left = GatewayAccount.objects.get().probe_at - timezone.now()
    assert timedelta(seconds=5) < left <= timedelta(seconds=15)


class Throttled:
    """A gateway that tells everybody to slow down, until it is mended."""

    def __init__(self, *, retry_after: float | None = None) -> None:
        self._retry_after = retry_after
        self.mended = threading.Event()
        self.calls: list[float] = []

    def send(self, text: OutboundText) -> str:
        self.calls.append(time.monotonic())
        time.sleep(0.01)
        if self.mended.is_set():
            return f"id-{text.reference}"
        detail = "Vonage asked to slow down."
        raise SendError(Outcome.AGAIN, "429", detail, retry_after=self._retry_after, throttled=True)


@pytest.mark.django_db(transaction=True)
def test_a_throttled_account_is_not_called_by_all_threads_again_and_again(monkeypatch):
    # However long it takes on a busy machine: a thread that is not told goes on, and calls once more.
    monkeypatch.setattr(sender, "_JUDGE_SECONDS", 60)
    threads = 32
    for number in make_pool(20):
        make_strangers_queued(number, 10)
    VirtualNumber.objects.update(messages_per_second=10_000, next_send_at=ago(hours=1))
    gateway = Throttled()
    with running_sender(gateway, threads=threads):
        account = wait_until(pauses.read_pause, waiting_for="the account to be paused")
        assert account.pause_code == "429"
        wait_until(lambda: GatewayAccount.objects.get().failed_probes >= 1, waiting_for="a try in vain")
        # What was on the wire when it was noticed: that of each thread, and what four of them took after the texts of
        # two numbers were answered, of which no third was; and the tries. Not what waited for a thread.
        calls, tries = len(gateway.calls), GatewayAccount.objects.get().failed_probes + 1
        assert calls <= threads + 4 + tries
        gateway.mended.set()
        wait_until(lambda: pauses.read_pause() is None, waiting_for="the account to go on")
        texts = Message.objects.filter(status=Status.SENT)
        wait_until(lambda: texts.count() == 200, timeout=30, waiting_for="all texts to be sent")


@pytest.mark.django_db(transaction=True)
def test_what_was_claimed_of_a_number_is_given_back_when_it_is_throttled(virtual_number):
    make_strangers_queued(virtual_number, 2)
    VirtualNumber.objects.update(messages_per_second=10_000, next_send_at=ago(hours=1))
    gateway = Throttled(retry_after=600)
    with running_sender(gateway, threads=1):
        texts = Message.objects.filter(status=Status.QUEUED).values_list("attempts", flat=True)
        wait_until(lambda: sorted(texts.all()) == [0, 1], waiting_for="the second to be given back")
    assert len(gateway.calls) == 1
