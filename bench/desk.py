"""The operator's desk: how long its pages take with a long message log."""

import http.client
import time

from django.db import connection
from django.utils import timezone

from bench.growth import log_in
from bench.stack import Stack
from bench.table import BenchError, Row, middle
from bench.world import World, tidy_database
from desk.counting import count_figures
from proxy_project.encryption import encrypt

MESSAGES = 1_000_000
OPENINGS = 15
TARGET_MS = 500
PAGES = {
    "home": "/admin/",
    "failures": "/admin/failures",
    "chats": "/admin/chats/chat/",
    "a chat": "/admin/chats/chat/{chat}/change/",
    "message log": "/admin/messaging/message/",
    "failed texts": "/admin/messaging/message/?status__exact=failed",
    "virtual numbers": "/admin/chats/virtualnumber/",
}

# A week of texts of the people there are, one in fifty of which has failed.
_FILL = """
    INSERT INTO messaging_message (id, direction, kind, status, virtual_number_id, chat_id, participant_id, body,
                                   created_at, sent_at, delivered_at, failed_at, error_code, error_kind)
    SELECT uuidv7(at), 'out', 'relay', CASE WHEN failed THEN 'failed' ELSE 'delivered' END,
           virtual_number_id, chat_id, id, %(body)s, %(now)s + at, %(now)s + at,
           CASE WHEN NOT failed THEN %(now)s + at END, CASE WHEN failed THEN %(now)s + at END,
           CASE WHEN failed THEN '1180' ELSE '' END, CASE WHEN failed THEN 'recipient' ELSE '' END
      FROM (SELECT person.*, nth %% 50 = 0 AS failed, (nth::float / %(count)s - 1) * interval '7 days' AS at
              FROM generate_series(1, %(count)s) AS nth
              JOIN (SELECT row_number() OVER () - 1 AS number, count(*) OVER () AS people, id, chat_id,
                           virtual_number_id
                      FROM chats_participant) AS person ON person.number = nth %% people) AS text
     ORDER BY at
"""


def measure_desk(stack: Stack, world: World, scale: float) -> list[Row]:
    """Open each page some times as a superuser, once a million texts of a week are in the log and counted."""
    count = max(1_000, round(MESSAGES * scale))
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"now": now, "count": count, "body": encrypt("See you at the main entrance.")})
    tidy_database()
    count_figures(now=now)
    cookie = log_in()
    rows = []
    for page, address in PAGES.items():
        path = address.format(chat=world.people[0].chat_id)
        times = [_open(stack.web, path, cookie) for _ in range(OPENINGS + 2)][2:]
        rows.append(
            Row(figure=f"desk with {count:,} texts: {page}", measured=middle(times), unit="ms", target=TARGET_MS)
        )
    return rows


def _open(address: tuple[str, int], path: str, cookie: str) -> float:
    """Return how many milliseconds a page took."""
    client = http.client.HTTPConnection(*address, timeout=60)
    try:
        started = time.perf_counter()
        client.request("GET", path, headers={"Cookie": cookie})
        answer = client.getresponse()
        answer.read()
        took = (time.perf_counter() - started) * 1000
    finally:
        client.close()
    if answer.status != 200:
        raise BenchError(f"{path} answered {answer.status}.")
    return took
