"""Send queued texts: claim a few, hand them to the gateway from many threads, write down what became of them."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

import psycopg
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

from messaging.claims import Claim, claim_hinted, claim_texts, seconds_until_due
from messaging.gateways import Gateway, Outcome, SendError
from messaging.heartbeats import BEAT_SECONDS, Heart
from messaging.measurements import Measurements
from messaging.models import Heartbeat
from messaging.obstacles import Hold
from messaging.outbox import WAKE_CHANNEL, read_hints
from messaging.overdue import settle_overdue
from messaging.results import Result, give_back, record_results
from messaging.scheduled import queue_scheduled_texts
from messaging.throttling import Throttling
from proxy_project.tracing import trace

log = structlog.get_logger(__name__)

_POLL_SECONDS = 1.0
_SETTLE_SECONDS = 1.0
# How soon to look again for a text that is due but waits for its turn, or that another sender is claiming.
_BLOCKED_SECONDS = 0.05
_RECONNECT_SECONDS = 0.5
# A thread whose text met a 429 waits until it is judged whether that was for the account: as long as this, at most.
_JUDGE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Work:
    """A claim that waits for a thread: since when, how long its lease holds, and how often the account was refused."""

    claim: Claim
    handed_out_at: float
    use_before: float
    refusals: int


class Sender:
    """One sender process: this thread talks to the database, `threads` others to the gateway.

    No transaction is open while the network is used. A crash leaves rows SENDING, whose leases end.
    """

    def __init__(self, *, threads: int, make_gateway: Callable[[], Gateway]) -> None:
        self._threads = threads
        self._make_gateway = make_gateway
        self._todo: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._unrecorded: list[Result] = []
        self._throttling = Throttling()
        self._heart = Heart(Heartbeat.Kind.SENDER)
        self._beat_at = float("-inf")
        self._measurements = Measurements()
        self._in_flight = 0
        # How often the gateway has refused the account. What was claimed before the last time is given back.
        self._refusals = 0
        # When each number was last slowed down. What waits here from before is given back, as the number rests.
        self._throttled_at: dict[UUID, float] = {}
        # One for each 429 that was judged, for the thread that met it.
        self._judged = threading.Semaphore(0)
        self._wake = threading.Event()
        # Whether there may be texts in the queue that were not there, or could not go, when it was last looked at; and
        # when to look again all the same. Each look is a large statement, and most results of texts need none.
        self._look = threading.Event()
        self._look_at = float("-inf")
        # Whether something that was due could not be claimed then.
        self._is_behind = False
        # What was queued since.
        self._hints: list[UUID] = []
        self._stopping = False
        self._stopped = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def stop(self) -> None:
        """Make `run` finish what is on the wire, give the rest back, and return: within a second or so.

        Safe in a signal handler, which could not set an Event whose lock the interrupted thread holds.
        """
        self._stopping = True

    def run(self) -> None:
        """Send until stopped; survives a database that is away for a while."""
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self._threads)]
        self._listener.start()
        for worker in workers:
            worker.start()
        log.info("sender started", threads=self._threads)
        settled_at = float("-inf")
        while not self._stopping:
            self._wake.clear()
            # Read before what is recorded: a refusal after that is not in the database when texts are claimed.
            refusals = self._refusals
            try:
                self._record()
                if time.monotonic() - settled_at >= _SETTLE_SECONDS:
                    settle_overdue()
                    queue_scheduled_texts()
                    settled_at = time.monotonic()
                    self._look.set()
                pause = self._claim(refusals)
                self._beat()
            except DatabaseError as error:
                self._survive(error)
                pause = _RECONNECT_SECONDS
            if pause:
                self._wake.wait(pause)
        self._finish(workers)
        log.info("sender stopped")

    def _beat(self) -> None:
        """Say from time to time that this thread goes round, and what was measured; texts go on without either."""
        if time.monotonic() - self._beat_at < BEAT_SECONDS:
            return
        self._beat_at = time.monotonic()
        try:
            self._heart.beat()
            self._measurements.write()
        except DatabaseError as error:
            log.warning("no heartbeat", error=type(error).__name__)
            connection.close()

    def _claim(self, refusals: int) -> float:
        """Claim what there are free threads for; return how long there is nothing to do but wait for a wake-up."""
        self._claim_hinted(refusals)
        free = self._count_free()
        if free <= 0:
            return _POLL_SECONDS
        now = time.monotonic()
        if not self._look.is_set() and now < self._look_at:
            return self._look_at - now
        self._look.clear()
        claims = claim_texts(limit=free)
        self._hand_out(claims, refusals)
        due = 0.0 if len(claims) == free else seconds_until_due()
        if not claims and due is not None and due <= 0:
            # It may be on a number that was not looked at.
            claims = claim_texts(limit=free, everywhere=True)
            self._hand_out(claims, refusals)
        self._is_behind = due is not None and due <= 0
        if due is None:
            pause = _POLL_SECONDS
        elif due > 0:
            pause = min(_POLL_SECONDS, due)
        else:
            pause = 0.0 if claims else _BLOCKED_SECONDS
        self._look_at = time.monotonic() + pause
        return pause

    def _claim_hinted(self, refusals: int) -> None:
        """Claim what was just queued when nothing else is known to wait; else all take their turns at the next look."""
        hints = list(self._hints)
        if not hints:
            return
        del self._hints[: len(hints)]
        free = self._count_free()
        if len(hints) > free or self._is_behind or self._look.is_set() or time.monotonic() >= self._look_at:
            self._look.set()
            return
        claims, are_left = claim_hinted(hints, limit=free)
        self._hand_out(claims, refusals)
        if are_left:
            self._look.set()

    def _count_free(self) -> int:
        """Return how many texts to claim: as many as there are threads may wait here, so that each finds its next."""
        free = 2 * self._threads - self._in_flight
        # While more than half of those are there, nobody is short of one: fewer claims, each for more texts.
        return free if free >= self._threads // 2 else 0

    def _hand_out(self, claims: list[Claim], refusals: int) -> None:
        now = time.monotonic()
        use_before = now + settings.SEND_LEASE_SECONDS - 2 * settings.SEND_TIMEOUT_SECONDS
        for claim in claims:
            self._in_flight += 1
            self._todo.put(_Work(claim, now, use_before, refusals))

    def _record(self) -> None:
        """Write down every result there is. What the database does not take now is kept for the next time."""
        throttled = 0
        while True:
            try:
                result = self._done.get_nowait()
            except queue.Empty:
                break
            judged = self._throttling.judge(result, at=time.monotonic())
            if judged is not result:
                self._refusals += 1
            if result.error and result.error.throttled:
                self._throttled_at[result.claim.virtual_number_id] = time.monotonic()
                throttled += 1
            self._unrecorded.append(judged)
            self._in_flight -= 1
        # Only now, when all of them are judged: what one of these threads takes next may be of no use any more.
        if throttled:
            self._judged.release(throttled)
        if self._unrecorded:
            took = _record_results(self._unrecorded)
            # The next text to somebody may go, or one that did not goes back into the queue.
            if self._is_behind or any(result.gateway_id is None for result in self._unrecorded):
                self._look.set()
            self._measure(self._unrecorded, took)
            self._unrecorded = []

    def _measure(self, results: list[Result], took: list[float]) -> None:
        for seconds in took:
            self._measurements.observe("relay_seconds", seconds)
        for result in results:
            if result.seconds is not None:
                self._measurements.observe("gateway_seconds", result.seconds)
            if result.gateway_id is not None:
                self._measurements.count("attempts", "accepted")
            elif result.error:
                self._measurements.count("attempts", result.error.outcome.value)

    def _work(self) -> None:
        """Send what comes, in a thread with a gateway client of its own, until there is None."""
        gateway = self._make_gateway()
        while (work := self._todo.get()) is not None:
            result = Result(work.claim) if self._is_of_no_use(work) else _send(gateway, work.claim, work.use_before)
            # First the result, then the count: whoever has seen the count finds the result.
            self._done.put(result)
            if result.error and result.error.outcome is Outcome.PAUSE:
                self._refusals += 1
            self._wake.set()
            if result.error and result.error.throttled:
                self._judged.acquire(timeout=_JUDGE_SECONDS)

    def _is_of_no_use(self, work: _Work) -> bool:
        """Return whether the account was refused, or the number slowed down, since this was claimed."""
        throttled_at = self._throttled_at.get(work.claim.virtual_number_id, float("-inf"))
        return work.refusals != self._refusals or work.handed_out_at <= throttled_at

    def _finish(self, workers: list[threading.Thread]) -> None:
        """Give back what is not on the wire; wait for what is, while leases hold, and write it down."""
        unsent = []
        while True:
            try:
                work = self._todo.get_nowait()
            except queue.Empty:
                break
            if work:
                unsent.append(work.claim)
        self._in_flight -= len(unsent)
        for _ in workers:
            self._todo.put(None)
        deadline = time.monotonic() + settings.SEND_LEASE_SECONDS
        while (unsent or self._in_flight or self._unrecorded) and time.monotonic() < deadline:
            self._wake.clear()
            try:
                give_back(unsent)
                unsent = []
                self._record()
            except DatabaseError as error:
                self._survive(error)
            if self._in_flight or self._unrecorded:
                self._wake.wait(_BLOCKED_SECONDS)
        self._stopped.set()
        try:
            self._measurements.write()
            self._heart.rest()
        except DatabaseError as error:
            log.warning("no heartbeat", error=type(error).__name__)

    def _listen(self) -> None:
        """Wake the sender when texts are queued. It polls as well: a lost connection costs a second."""
        while not self._stopped.is_set():
            try:
                parameters = connection.get_connection_params()
                for name in ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "pool"):
                    parameters.pop(name, None)
                with psycopg.connect(**parameters, autocommit=True) as listener:
                    listener.execute(f"LISTEN {WAKE_CHANNEL}")
                    self._wake_up(None)
                    for notification in listener.notifies():
                        self._wake_up(read_hints(notification.payload))
            except psycopg.Error as error:
                log.warning("not listening", error=type(error).__name__)
                self._stopped.wait(_RECONNECT_SECONDS)

    def _wake_up(self, hints: list[UUID] | None) -> None:
        if hints is None:
            self._look.set()
        else:
            self._hints.extend(hints)
        self._wake.set()

    def _survive(self, error: DatabaseError) -> None:
        log.error("database unavailable", error=type(error).__name__, unrecorded=len(self._unrecorded))
        connection.close()


def _record_results(results: list[Result]) -> list[float]:
    """Record results together, or one by one when the database refuses one of them, which its lease then ends."""
    try:
        took = record_results(results)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        if len(results) == 1:
            log.error("result not recorded", message=str(results[0].claim.id), error=type(error).__name__)
            return []
        return [seconds for result in results for seconds in _record_results([result])]
    _log_results(results)
    return took


def _log_results(results: list[Result]) -> None:
    for result in results:
        ids = {"message": str(result.claim.id), "chat": str(result.claim.chat_id) if result.claim.chat_id else None}
        if result.gateway_id is not None:
            log.info("text sent", **ids, attempt=result.claim.attempt)
        elif result.error is None or result.error.outcome is Outcome.PAUSE:
            # Why is said once, when the account is paused.
            log.debug("text held back", **ids)
        else:
            log.warning(
                "text not sent",
                **ids,
                attempt=result.claim.attempt,
                outcome=result.error.outcome.value,
                code=result.error.code,
                reason=result.error.detail,
            )


def _send(gateway: Gateway, claim: Claim, use_before: float) -> Result:
    if time.monotonic() > use_before:
        # The lease could end while the text is on the wire, and another sender take it.
        error = SendError(Outcome.AGAIN, "lease_ending", "The sender was too busy to send it in time.")
        return Result(claim, error=error)
    try:
        text = claim.decrypt_text()
    except SendError as error:
        return Result(claim, error=error)
    except Hold as hold:
        return Result(claim, hold=hold)
    except Exception as error:
        return _break(claim, error)
    began_at = time.monotonic()
    try:
        with trace("send text", message=str(claim.id), chat=str(claim.chat_id or "")):
            result = Result(claim, gateway_id=gateway.send(text))
    except SendError as error:
        result = Result(claim, error=error)
    except Exception as error:
        result = _break(claim, error)
    return replace(result, seconds=time.monotonic() - began_at)


def _break(claim: Claim, error: Exception) -> Result:
    """Whatever it is, the thread goes on and the text is not forgotten."""
    detail = "Sending ended in an unexpected error."
    return Result(claim, error=SendError(Outcome.UNKNOWN, type(error).__name__, detail))
