"""A paused account: no text is burnt, one at a time is tried, and all go on when it works again."""

import contextlib
import threading
import time
from collections import Counter

import pytest
import structlog
from django.db.models.functions import Now

from chats.models import VirtualNumber
from messaging import pauses
from messaging.claims import Claim, claim_texts, seconds_until_due
from messaging.gateways import ErrorKind, OutboundText, Outcome, SendError
from messaging.models import GatewayAccount, Message
from messaging.overdue import settle_overdue
from messaging.results import Result, give_back, record_results
from tests.chats.helpers import at_once
from tests.factories import make_pool, make_virtual_number
from tests.harness.simulator import wait_until
from tests.messaging.payloads import receipt, sms
from tests.messaging.rows import Status, ago, lose_the_key, make_queued, make_strangers_queued, next_probe_in
from tests.messaging.senders import running_sender
from tests.messaging.signing import INBOUND, STATUS, signed_post

pytestmark = pytest.mark.django_db

REFUSED = SendError(Outcome.PAUSE, "401", "Vonage refused the credentials.", kind=ErrorKind.CONFIGURATION)
NO_MONEY = SendError(Outcome.PAUSE, "402", "The balance is too low.", kind=ErrorKind.MONEY)
OTHER_ENDS = {
    "refused for now": SendError(Outcome.AGAIN, "500", "An internal error."),
    "refused for good": SendError(Outcome.NEVER, "422", "Vonage refused the text."),
    "answer lost": SendError(Outcome.UNKNOWN, "answer_lost", "The connection was lost."),
    "throttled": SendError(Outcome.AGAIN, "429", "Slow down.", throttled=True),
}
ACCOUNT_RATES = pytest.mark.parametrize("account_rate", [0, 1_000_000])


@pytest.fixture
def virtual_number(db: None) -> VirtualNumber:
    return make_virtual_number(messages_per_second=10_000, next_send_at=ago(hours=1))


def refuse(claims: list[Claim], error: SendError = REFUSED) -> None:
    record_results([Result(each, error=error) for each in claims])


def accept(claims: list[Claim]) -> None:
    record_results([Result(each, gateway_id=f"id-{each.id}") for each in claims])


def bodies(claims: list[Claim]) -> list[str]:
    return [each.decrypt_text().body for each in claims]


def probe_now() -> list[Claim]:
    """Let the time of the next probe come, and claim."""
    GatewayAccount.objects.update(probe_at=ago(minutes=1))
    return claim_texts(limit=100)


@pytest.fixture
def paused(virtual_number: VirtualNumber) -> list[Claim]:
    """Thirty texts wait: the account was refused with the first of them."""
    make_strangers_queued(virtual_number, 30)
    claims = claim_texts(limit=3)
    refuse(claims)
    return claims


# --- The pause -------------------------------------------------------------------------------------------------


@ACCOUNT_RATES
def test_a_refused_account_is_paused_and_the_text_waits_as_it_was(chat, omar, settings, account_rate):
    settings.VONAGE_MESSAGES_PER_SECOND = account_rate
    GatewayAccount.objects.create(name="vonage", next_send_at=ago(hours=1))
    message = make_queued(omar, attempts=3)
    claims = claim_texts(limit=10)
    with next_probe_in(0.5, 1):
        refuse(claims, NO_MONEY)
    message.refresh_from_db()
    assert (message.status, message.attempts) == (Status.QUEUED, 3)
    assert (message.error_code, message.error_detail, message.error_kind) == ("402", NO_MONEY.detail, "money")
    account = pauses.read_pause()
    assert account and (account.pause_code, account.pause_detail) == ("402", NO_MONEY.detail)
    assert account.paused_at is not None and account.probe_message_id is None
    assert claim_texts(limit=10) == []


def test_no_account_is_paused_by_what_is_wrong_with_a_text(virtual_number):
    make_strangers_queued(virtual_number, 10)
    for error in OTHER_ENDS.values():
        refuse(claim_texts(limit=1), error)
        VirtualNumber.objects.update(next_send_at=ago(hours=1))
    assert pauses.read_pause() is None
    assert len(claim_texts(limit=100)) == 6


def test_nothing_is_claimed_until_the_probe(paused):
    assert claim_texts(limit=100) == []
    assert Message.objects.filter(status=Status.QUEUED, attempts=0).count() == 30


def test_senders_sleep_until_the_probe(paused):
    GatewayAccount.objects.update(probe_at=ago(seconds=-40))
    assert seconds_until_due() == pytest.approx(40, abs=5)
    Message.objects.all().delete()
    assert seconds_until_due() is None


def test_what_was_on_the_wire_when_it_was_paused_prolongs_nothing(virtual_number):
    make_strangers_queued(virtual_number, 5)
    claims = claim_texts(limit=5)
    refuse(claims[:1])
    before = GatewayAccount.objects.values().get()
    for each in claims[1:3]:
        refuse([each], NO_MONEY)
    accept(claims[3:4])
    give_back(claims[4:])
    assert GatewayAccount.objects.values().get() == before
    assert Counter(Message.objects.values_list("status", "attempts")) == {("queued", 0): 4, ("sent", 1): 1}


def test_receipts_and_inbound_texts_are_taken_as_ever(client, chat, sara, omar):
    sent = make_queued(omar, status=Status.SENT, gateway_id="gateway-id")
    make_queued(sara)
    refuse(claim_texts(limit=1))
    assert signed_post(client, STATUS, receipt(status="delivered", client_ref=str(sent.pk))).status_code == 200
    assert signed_post(client, INBOUND, sms()).status_code == 200
    assert client.get("/healthz").status_code == 200
    assert Message.objects.filter(kind="relay", status=Status.QUEUED).count() == 1


def test_a_text_that_expires_meanwhile_names_the_reason(paused):
    waiting = Message.objects.filter(error_code="").first()
    Message.objects.filter(pk=waiting.pk).update(created_at=ago(hours=25))
    settle_overdue()
    waiting.refresh_from_db()
    assert waiting.status == Status.FAILED
    assert REFUSED.detail in waiting.error_detail


# --- The probe -------------------------------------------------------------------------------------------------


@ACCOUNT_RATES
def test_one_text_at_a_time_is_tried(paused, settings, account_rate):
    settings.VONAGE_MESSAGES_PER_SECOND = account_rate
    GatewayAccount.objects.update(next_send_at=ago(hours=1))
    [probe] = probe_now()
    assert (probe.is_probe, probe.attempt) == (True, 1)
    assert claim_texts(limit=100) == []


def test_the_wait_for_the_next_probe_doubles_up_to_a_minute(paused):
    for longest in (2, 4, 8, 16, 32, 60, 60, 60, 60):
        probes = probe_now()
        with next_probe_in(longest / 2, longest):
            refuse(probes, NO_MONEY)
    account = pauses.read_pause()
    assert account and (account.pause_code, account.failed_probes) == ("402", 9)
    assert set(Message.objects.values_list("status", "attempts")) == {("queued", 0)}


def test_an_accepted_probe_ends_the_pause(paused):
    accept(probe_now())
    assert pauses.read_pause() is None
    assert GatewayAccount.objects.values("pause_code", "pause_detail", "failed_probes", "probe_at").get() == {
        "pause_code": "", "pause_detail": "", "failed_probes": 0, "probe_at": None
    }  # fmt: skip
    assert len(claim_texts(limit=100)) == 29


@pytest.mark.parametrize("error", OTHER_ENDS.values(), ids=OTHER_ENDS)
def test_a_probe_that_says_nothing_of_the_account_is_followed_by_another_at_once(paused, error):
    [probe] = probe_now()
    refuse([probe], error)
    VirtualNumber.objects.update(next_send_at=ago(hours=1))
    assert pauses.read_pause() is not None
    GatewayAccount.objects.filter(probe_at__lte=Now()).update(probe_at=ago(minutes=1))
    [another] = claim_texts(limit=100)
    assert another.id != probe.id and another.is_probe


def test_a_text_that_cannot_be_tried_holds_up_nobody(paused):
    lose_the_key()
    [probe] = probe_now()
    with pytest.raises(SendError) as raised:
        probe.decrypt_text()
    refuse([probe], raised.value)
    [another] = probe_now()
    assert another.id != probe.id


@pytest.mark.parametrize("end", ["given back", "never on the wire"])
def test_a_probe_that_was_not_sent_is_tried_again(paused, end):
    probes = probe_now()
    give_back(probes) if end == "given back" else record_results([Result(each) for each in probes])
    assert Message.objects.filter(attempts=0, status=Status.QUEUED).count() == 30
    assert GatewayAccount.objects.get().probe_message_id is None
    assert len(probe_now()) == 1


def test_a_sender_killed_while_it_tries_leaves_nothing_stuck(paused, settings):
    settings.SEND_LEASE_SECONDS = 30
    with next_probe_in(30, 30):
        [lost] = probe_now()
    Message.objects.filter(pk=lost.id).update(due_at=ago(minutes=1))
    settle_overdue()
    [another] = probe_now()
    assert another.id != lost.id
    refuse([lost])  # it was not dead after all
    assert GatewayAccount.objects.get().probe_message_id == another.id
    accept([another])
    assert pauses.read_pause() is None
    assert len(claim_texts(limit=100)) == 28


def test_there_may_be_nothing_to_try(paused):
    Message.objects.all().delete()
    assert probe_now() == []
    assert pauses.read_pause() is not None


def test_a_result_that_comes_again_does_not_touch_the_next_attempt(paused):
    probes = probe_now()
    refuse(probes)
    Message.objects.exclude(pk=probes[0].id).delete()
    Message.objects.update(due_at=ago(minutes=1))
    [again] = probe_now()
    assert (again.id, again.attempt) == (probes[0].id, probes[0].attempt)
    Message.objects.update(due_at=ago(minutes=-1))  # a lease of its own
    refuse(probes)
    assert Message.objects.get().status == Status.SENDING


# --- The first text ever, and an account of several people -------------------------------------------------------


def test_an_account_that_never_worked_is_paused_too(chat, omar):
    assert not GatewayAccount.objects.exists()
    make_queued(omar)
    refuse(claim_texts(limit=1))
    assert pauses.read_pause() is not None
    accept(probe_now())
    assert pauses.read_pause() is None


def test_the_order_of_a_persons_texts_is_kept(chat, sara, omar):
    for body in "123":
        make_queued(omar, f"omar {body}")
        make_queued(sara, f"sara {body}")
    for _ in range(3):
        claims = probe_now()
        assert all(body.endswith("1") for body in bodies(claims))
        refuse(claims)
    seen: dict[str, list[str]] = {"omar": [], "sara": []}
    claims = probe_now()
    while claims:
        for name, number in map(str.split, bodies(claims)):
            seen[name].append(number)
        accept(claims)
        VirtualNumber.objects.update(next_send_at=ago(hours=1))
        claims = claim_texts(limit=100)
    assert seen == {"omar": ["1", "2", "3"], "sara": ["1", "2", "3"]}


# --- Many senders ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@ACCOUNT_RATES
def test_of_many_senders_one_tries_a_text(virtual_number, settings, account_rate):
    settings.VONAGE_MESSAGES_PER_SECOND = account_rate
    GatewayAccount.objects.create(name="vonage", next_send_at=ago(hours=1))
    for number in (virtual_number, *make_pool(3)):
        make_strangers_queued(number, 20)
    VirtualNumber.objects.update(messages_per_second=1_000_000, next_send_at=ago(hours=1))
    refuse(claim_texts(limit=2))
    for _ in range(3):
        GatewayAccount.objects.update(probe_at=ago(minutes=1), next_send_at=ago(hours=1))
        claims = [each for mine in at_once([lambda: claim_texts(limit=10)] * 6) for each in mine]
        assert len(claims) == 1
        refuse(claims)
    accept(probe_now())
    VirtualNumber.objects.update(next_send_at=ago(hours=1))
    GatewayAccount.objects.update(next_send_at=ago(hours=1))
    claims = [each for mine in at_once([lambda: claim_texts(limit=10)] * 6) for each in mine]
    assert len(claims) == len({each.id for each in claims}) > 6


@pytest.mark.django_db(transaction=True)
def test_many_refusals_at_once_are_one_pause_that_is_said_once(virtual_number):
    make_strangers_queued(virtual_number, 24)
    claims = claim_texts(limit=24)
    with structlog.testing.capture_logs() as logs:
        at_once([lambda mine=claims[index::6]: refuse(mine) for index in range(6)])
        refuse(probe_now())
        accept(probe_now())
    said = [(line["event"], line["log_level"]) for line in logs if line["event"].startswith("account")]
    assert said == [("account paused", "error"), ("account still paused", "info"), ("account resumed", "warning")]
    assert Counter(Message.objects.values_list("status", "attempts")) == {("queued", 0): 23, ("sent", 1): 1}


@pytest.mark.django_db(transaction=True)
def test_many_senders_survive_an_account_that_fails_now_and_then(chat, sara, omar):
    for body in range(25):
        for participant in (sara, omar):
            make_queued(participant, str(body))
    VirtualNumber.objects.update(messages_per_second=1_000_000, next_send_at=ago(hours=1))
    seen: dict[str, list[int]] = {sara.phone_number: [], omar.phone_number: []}
    lock = threading.Lock()

    def send_all() -> None:
        turns = 0
        give_up_at = time.monotonic() + 30
        while Message.objects.filter(status__in=Message.PENDING_STATUSES).exists():
            assert time.monotonic() < give_up_at
            GatewayAccount.objects.filter(probe_message_id=None, paused_at__isnull=False).update(
                probe_at=ago(minutes=1)
            )
            claims = claim_texts(limit=3)
            turns += bool(claims)
            if turns % 4 == 0:
                refuse(claims)
                continue
            with lock:
                for text in (each.decrypt_text() for each in claims):
                    seen[text.to_number].append(int(text.body))
            accept(claims)

    at_once([send_all] * 4)
    assert list(seen.values()) == [list(range(25))] * 2


class Refusing:
    """A gateway that refuses the account with as many texts as come at once, until it is mended."""

    def __init__(self, at_once: int) -> None:
        self.barrier = threading.Barrier(at_once)
        self.mended = threading.Event()
        self.sent: list[str] = []

    def send(self, text: OutboundText) -> str:
        self.sent.append(text.to_number)
        if self.mended.is_set():
            return f"id-{text.reference}"
        with contextlib.suppress(threading.BrokenBarrierError):
            self.barrier.wait(timeout=60)
        self.barrier.abort()
        raise REFUSED


@pytest.mark.django_db(transaction=True)
def test_a_sender_gives_back_what_it_has_in_its_hands(virtual_number):
    make_strangers_queued(virtual_number, 30)
    gateway = Refusing(at_once=8)
    with running_sender(gateway, threads=8):
        wait_until(pauses.read_pause)
        wait_until(lambda: not Message.objects.exclude(status=Status.QUEUED, attempts=0).exists())
        # One for each thread; two more were claimed.
        assert len(gateway.sent) <= 8 + 1
        gateway.mended.set()
        wait_until(lambda: Message.objects.filter(status=Status.SENT).count() == 30)
    assert pauses.read_pause() is None
