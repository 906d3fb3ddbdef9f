"""How what people wait for grows with the database: each request in turn on a small one and on a large one."""

import json
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import uuid4

from django.conf import settings
from django.utils import timezone

from bench.growth import Grown, grow
from bench.inbound import make_inbounds
from bench.load import percentile, post, run_load
from bench.plans import write_plans
from bench.retention import measure_retention
from bench.stack import Stack
from bench.table import BenchError, Row
from bench.world import tidy_database
from chats.pool import look_at_pools
from chats.services import end_expired_chats
from desk.counting import count_figures
from messaging.claims import claim_texts, seconds_until_due
from messaging.models import Message
from messaging.number_health import note_health
from messaging.overdue import settle_overdue
from messaging.usage import count_usage
from simulator.records import Text
from simulator.tokens import WebhookSigner
from simulator.wire import make_status_body

SIZES = (1_000, 10_000, 100_000)
# How much slower than with the least chats anything may be.
LIMIT = 2.0
ROUNDS = 15
_PER_ROUND = 10
_PAGES_PER_ROUND = 3
_CLAIMS_PER_ROUND = 5

Requests = Callable[[Grown, int], Sequence[bytes]]


def measure_scale(stack: Stack, *, sizes: Sequence[int], plans: Path | None, scale: float = 1) -> list[Row]:
    """Fill databases of these sizes, and compare each with the first, request by request."""
    rounds = max(2, round(ROUNDS * scale))
    first = grow(stack, sizes[0])
    rows: list[Row] = []
    for size in sizes[1:]:
        large = grow(stack, size)
        rows += _compare(stack, first, large, rounds)
        rows += measure_retention(stack, large)
        stack.stop(f"web with {size}")
        if plans and size == sizes[-1]:
            large.use()
            requests = {name: partial(_make_one, make, large) for name, (make, _, _) in OPERATIONS.items()}
            plans.write_text(write_plans(large, requests))
        rows += _time_chores(large)
        large.drop()
    print(format_curve(rows))
    return rows


def _make_one(make: Requests, grown: Grown) -> bytes:
    return make(grown, 1)[0]


def _compare(stack: Stack, small: Grown, large: Grown, rounds: int) -> list[Row]:
    """Return how long each request takes on either, in turns, so that a busy machine is busy for both."""
    times: dict[tuple[str, int], list[float]] = {}
    for round_ in range(rounds + 1):
        for name, (make, status, count) in OPERATIONS.items():
            for grown in (small, large):
                grown.use()
                load = run_load(address=grown.web, requests=make(grown, count), connections=1)
                if set(load.statuses) != {status}:
                    raise BenchError(f"{name} with {grown.chats:,} chats: {load.statuses}")
                # The first round makes everything warm.
                if round_:
                    times.setdefault((name, grown.chats), []).extend(load.latencies_ms)
        for grown in (small, large):
            grown.use()
            for name, took in _claim().items():
                if round_:
                    times.setdefault((name, grown.chats), []).extend(took)
            tidy_database()
        stack.check_running()
    rows = []
    for name in dict.fromkeys(name for name, _ in times):
        for percent in (50, 99):
            floor, measured = (percentile(times[name, grown.chats], percent) for grown in (small, large))
            rows.append(
                Row(
                    figure=f"{name}, p{percent}, {large.chats:,} chats", measured=measured, unit="ms",
                    floor=floor, floor_name=f"{small.chats:,} chats",
                    target=LIMIT * floor if percent == 50 else None,
                )
            )  # fmt: skip
    return rows


def format_curve(rows: Sequence[Row]) -> str:
    """Return a line for each request, with its median at each size in milliseconds and how often that is the first."""
    curve: dict[str, dict[str, Row]] = {}
    for row in rows:
        name, _, rest = row.figure.rpartition(", p50, ")
        size = rest
        if name and row.target:
            curve.setdefault(name, {})[size] = row
    sizes = list(dict.fromkeys(size for each in curve.values() for size in each))
    lines = ["| ms, median | " + " | ".join(sizes) + " |", "|---|" + "---:|" * len(sizes)]
    for name, by_size in curve.items():
        cells = [
            f"{by_size[size].measured:.1f} / {by_size[size].floor:.1f} = {by_size[size].ratio:.2f} "
            f"{'✓' if by_size[size].meets_target else '✗'}"
            for size in sizes
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


# --- Requests --------------------------------------------------------------------------------------------------------


def _open_chats_of_strangers(grown: Grown, count: int) -> list[bytes]:
    numbers = list(islice(grown.fresh_numbers, 2 * count))
    return [_open_chat(grown, *numbers[2 * index : 2 * index + 2]) for index in range(count)]


def _open_chats_of_acquaintances(grown: Grown, count: int) -> list[bytes]:
    """People who are in several chats already."""
    people = [person.phone_number for person in _rotate(grown, 2 * count)]
    return [_open_chat(grown, *pair) for pair in zip(people[::2], people[1::2], strict=True) if pair[0] != pair[1]]


def _open_chat(grown: Grown, first: str, second: str) -> bytes:
    people = [{"phone_number": first, "name": "Sara"}, {"phone_number": second, "name": "Omar"}]
    body = json.dumps({"participants": people, "reference": f"booking-{uuid4()}"}).encode()
    return post(path="/chats", authorization=f"Bearer {grown.api_key}", body=body)


def _inbound(grown: Grown, count: int) -> list[bytes]:
    return [inbound.request for inbound in make_inbounds(_rotate(grown, count), count)]


def _receipts(grown: Grown, count: int) -> list[bytes]:
    """Of the texts that were queued last."""
    signer = WebhookSigner(
        api_key=settings.VONAGE_API_KEY,
        application_id=settings.VONAGE_APPLICATION_ID,
        secret=settings.VONAGE_SIGNATURE_SECRET,
    )
    waiting = Message.objects.filter(status="queued").order_by("-position").select_related("participant")[:count]
    requests = []
    for message in waiting:
        text = Text(
            seq=0, changed=0, direction="to_handset", handset=message.participant.phone_number, virtual_number="",
            text="", message_uuid=str(uuid4()), at=time.time(), segments=1, client_ref=str(message.pk),
        )  # fmt: skip
        body = make_status_body(text, "delivered", None, time.time())
        requests.append(post(path="/webhooks/status", body=body, authorization=signer.sign(body) or ""))
    return requests


def _rotate(grown: Grown, count: int) -> list:
    """Return other people each time, until it begins anew."""
    chosen = [grown.people.pop(0) for _ in range(count)]
    grown.people.extend(chosen)
    return chosen


def _get(path: Callable[[Grown, int], str], **headers: Callable[[Grown, int], str]) -> Requests:
    """Make requests that read; the path and headers are made of the nth person."""

    def make(grown: Grown, count: int) -> list[bytes]:
        requests = []
        for nth in range(count):
            lines = "".join(f"{name.replace('_', '-')}: {value(grown, nth)}\r\n" for name, value in headers.items())
            requests.append(
                f"GET {path(grown, nth)} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {grown.api_key}\r\n"
                f"Cookie: {grown.cookie}\r\n{lines}\r\n".encode()
            )
        _rotate(grown, count)
        return requests

    return make


def _cursor(grown: Grown) -> str:
    return b64encode(urlencode({"p": str(grown.middle_of_log)}).encode()).decode()


def _moment(grown: Grown) -> str:
    return quote(grown.middle_of_log.isoformat())


def _number(grown: Grown, nth: int) -> str:
    return str(grown.number_ids[nth % len(grown.number_ids)])


_GETS: dict[str, Callable[[Grown, int], str]] = {
    "GET /chats": lambda grown, nth: "/chats",
    "GET /chats?status=open": lambda grown, nth: "/chats?status=open",
    "GET /chats?status=ended": lambda grown, nth: "/chats?status=ended",
    "GET /chats from the middle on": lambda grown, nth: f"/chats?cursor={_cursor(grown)}",
    "GET /chats?started_before=": lambda grown, nth: f"/chats?started_before={_moment(grown)}",
    "GET /chats?ended_after=": lambda grown, nth: f"/chats?ended_after={_moment(grown)}",
    # With few chats a number has some twenty of them: pages that are as full with many.
    "GET /chats?virtual_number=&page_size=20": (
        lambda grown, nth: f"/chats?virtual_number={_number(grown, nth)}&page_size=20"
    ),
    "GET /chats?person=": lambda grown, nth: f"/chats?person={grown.people[nth].participant_id}",
    "GET /chats?reference=": lambda grown, nth: f"/chats?reference=load-{nth}",
    "GET /chats/{id}": lambda grown, nth: f"/chats/{grown.people[nth].chat_id}",
    "GET /chats/{id}/messages": lambda grown, nth: f"/chats/{grown.people[nth].chat_id}/messages",
    "GET /events": lambda grown, nth: "/events",
    "GET /events?after=": lambda grown, nth: f"/events?after={grown.middle_event}",
    "GET /virtual-numbers": lambda grown, nth: "/virtual-numbers",
    "GET /usage": lambda grown, nth: "/usage",
}
_PAGES: dict[str, Callable[[Grown, int], str]] = {
    "home": lambda grown, nth: "/admin/",
    "failures": lambda grown, nth: "/admin/failures",
    "chats": lambda grown, nth: "/admin/chats/chat/",
    "open chats": lambda grown, nth: "/admin/chats/chat/?status__exact=open",
    "chats of a number": lambda grown, nth: f"/admin/chats/chat/?number={_number(grown, nth)}",
    "search by reference": lambda grown, nth: f"/admin/chats/chat/?q=load-{nth}",
    "a chat": lambda grown, nth: f"/admin/chats/chat/{grown.people[nth].chat_id}/change/",
    "message log": lambda grown, nth: "/admin/messaging/message/",
    "log of a day": lambda grown, nth: f"/admin/messaging/message/?day={grown.middle_of_log.date()}",
    "failed texts": lambda grown, nth: "/admin/messaging/message/?status__exact=failed",
    "virtual numbers": lambda grown, nth: "/admin/chats/virtualnumber/",
    "a virtual number": lambda grown, nth: f"/admin/chats/virtualnumber/{_number(grown, nth)}/change/",
}
# What is asked, what it is answered, and how often in a round.
OPERATIONS: dict[str, tuple[Requests, int, int]] = {
    "POST /chats, people new here": (_open_chats_of_strangers, 201, _PER_ROUND),
    "POST /chats, people in other chats": (_open_chats_of_acquaintances, 201, _PER_ROUND),
    "inbound webhook": (_inbound, 200, _PER_ROUND),
    "receipt": (_receipts, 200, _PER_ROUND),
    **{name: (_get(path), 200, _PER_ROUND) for name, path in _GETS.items()},
    "GET /chats of a phone number": (
        _get(lambda grown, nth: "/chats", Participant_Phone_Number=lambda grown, nth: grown.people[nth].phone_number),
        200,
        _PER_ROUND,
    ),
    **{f"admin: {name}": (_get(path), 200, _PAGES_PER_ROUND) for name, path in _PAGES.items()},
}


# --- What runs in this process ---------------------------------------------------------------------------------------


def _claim() -> dict[str, list[float]]:
    """Return how long the sender's statements take, in milliseconds, with the texts that were queued before."""
    steps: dict[str, Callable[[], object]] = {
        "claim of a text": lambda: claim_texts(limit=1),
        "claim of 8 texts": lambda: claim_texts(limit=8),
        "when is the next text due": seconds_until_due,
        "what is overdue": settle_overdue,
    }
    return {name: [_time(step) for _ in range(_CLAIMS_PER_ROUND)] for name, step in steps.items()}


def _time_chores(grown: Grown) -> list[Row]:
    """Return how long the worker's regular tasks take, once each: nobody waits for them."""
    grown.use()
    now = timezone.now()
    chores: dict[str, Callable[[], object]] = {
        "every 10 s, chats that are over": lambda: end_expired_chats(now=now),
        "every minute, figures of the desk": lambda: count_figures(now=now),
        "every 5 minutes, how numbers fare": lambda: note_health(now=now),
        "every 5 minutes, how far numbers reach": lambda: look_at_pools(now=now),
        "every 10 minutes, the books": count_usage,
    }
    return [
        Row(figure=f"worker: {name}; {grown.chats:,} chats", measured=_time(chore), unit="ms")
        for name, chore in chores.items()
    ]


def _time(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return (time.perf_counter() - started) * 1000
