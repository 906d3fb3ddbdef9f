"""A backlog, as after an hour without the carrier: how fast it is sent, from its first seconds to its last."""

from dataclasses import dataclass

from django.db import connection, transaction

from bench.gateway import Gateway, require_each_once
from bench.growth import MESSAGES_PER_SECOND
from bench.sending import THREADS, wait_until_recorded
from bench.stack import Stack
from bench.table import Row
from bench.world import World, tidy_database
from chats.models import Chat, Participant, VirtualNumber
from messaging.models import Message
from proxy_project.encryption import digest_number, encrypt

TEXTS = 100_000
SMALL = 2_000
OF_ONE_PERSON = 5_000
STUCK = 50_000
NUMBERS = 5_000
# For how long the first texts are looked at.
_EDGE_SECONDS = 3
_FIRST_NUMBER = 13025550200
_START_SECONDS = 60

# One after the other from each person, so that nobody's texts lie together; those of one person come first.
_QUEUE = """
    INSERT INTO messaging_message (id, direction, kind, status, due_at, virtual_number_id, chat_id, participant_id,
                                   body, segments, turn_of, expires_at)
    SELECT uuidv7(), 'out', 'relay', 'queued', now(), virtual_number_id, chat_id, person.id, %(body)s, 1,
           chat.platform_id, now() + interval '1 day'
      FROM (SELECT CASE WHEN nth <= %(of_one)s THEN 0 ELSE nth %% %(people)s END AS place
              FROM generate_series(1, %(texts)s) AS nth ORDER BY nth) AS text
      JOIN unnest(%(ids)s::uuid[]) WITH ORDINALITY AS listed (id, ordinality) ON ordinality = place + 1
      JOIN chats_participant AS person ON person.id = listed.id
      JOIN chats_chat AS chat ON chat.id = person.chat_id
    RETURNING id
"""
_LOSE_AN_ANSWER = """
    UPDATE messaging_message SET status = 'unconfirmed', due_at = now() + interval '1 day'
     WHERE id = (SELECT id FROM messaging_message WHERE participant_id = %s AND status = 'queued'
                  ORDER BY position LIMIT 1)
"""


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """What is queued: texts, how many of them for one person, and whether the first of these never gets an answer."""

    name: str
    texts: int
    of_one: int = 0
    is_stuck: bool = False
    senders: int = 1
    is_wide: bool = False


def measure_drain(stack: Stack, world: World, scale: float) -> list[Row]:
    """Queue each backlog, start the senders, and look at when the simulator got which text."""
    texts, of_one, stuck = (max(200, round(count * scale)) for count in (TEXTS, OF_ONE_PERSON, STUCK))
    small = max(200, round(SMALL * scale))
    few = [person.participant_id for person in world.people]
    wide = _make_wide_world(max(200, round(NUMBERS * scale)))
    gateway = Gateway(stack.simulator)
    first = _drain(stack, gateway, few, Backlog(name=f"{small:,} texts", texts=small))
    rows = first
    floor = first[0].measured
    for backlog in (
        Backlog(name=f"{texts:,} texts, {of_one:,} of them for one person", texts=texts, of_one=of_one),
        Backlog(name=f"{texts:,} texts, 2 senders", texts=texts, of_one=of_one, senders=2),
        Backlog(name=f"{small:,} texts beside {stuck:,} that wait for one", texts=small + stuck, of_one=stuck,
                is_stuck=True),
        Backlog(name=f"{texts // 4:,} texts on {len(wide) // 2:,} numbers", texts=texts // 4, is_wide=True),
    ):  # fmt: skip
        rows += _drain(stack, gateway, wide if backlog.is_wide else few, backlog, floor=floor)
    return rows


def _drain(stack: Stack, gateway: Gateway, people: list, backlog: Backlog, *, floor: float | None = None) -> list[Row]:
    tidy_database()
    gateway.start_afresh(latency_ms=0, no_receipts=True)
    params = {
        "texts": backlog.texts, "of_one": backlog.of_one, "ids": people, "people": len(people),
        "body": encrypt("I am at the main entrance, where are you?"),
    }  # fmt: skip
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_QUEUE, params)
        wanted = [str(message_id) for (message_id,) in cursor.fetchall()]
    if backlog.is_stuck:
        with connection.cursor() as cursor:
            cursor.execute(_LOSE_AN_ANSWER, [people[0]])
        of_one = Message.objects.filter(participant_id=people[0], status__in=("queued", "unconfirmed"))
        stuck = {str(pk) for pk in of_one.values_list("pk", flat=True)}
        wanted = [each for each in wanted if each not in stuck]
    for number in range(backlog.senders):
        stack.start(f"sender {number}", "manage.py", "send_texts", "--threads", str(THREADS))
    gateway.wait_for_texts(len(wanted), seconds=_START_SECONDS + len(wanted) / 20)
    if not backlog.is_stuck:
        wait_until_recorded(len(wanted))
    stack.check_running()
    for number in range(backlog.senders):
        stack.stop(f"sender {number}")
    arrivals = gateway.arrivals()
    require_each_once(wanted, [reference for reference, _, _ in arrivals])
    times = sorted(at for _, _, at in arrivals)
    whole = len(times) / (times[-1] - times[0])
    first = sum(at < times[0] + _EDGE_SECONDS for at in times) / min(_EDGE_SECONDS, times[-1] - times[0])
    figures = {"": whole}
    if floor:
        quarter = len(times) // 4
        half = len(times[quarter:-quarter]) / (times[-quarter] - times[quarter])
        figures |= {f", the first {_EDGE_SECONDS} s": first, ", the half in the middle": half}
    return [
        Row(figure=f"drained: {backlog.name}{part}", measured=measured, unit="/s", floor=floor, floor_name="few texts")
        for part, measured in figures.items()
    ]


def _make_wide_world(count: int) -> list:
    """Make so many virtual numbers with a chat on each, and return the ids of their people."""
    platform = Chat.objects.select_related("platform")[0].platform
    numbers = VirtualNumber.objects.bulk_create(
        VirtualNumber(number=f"+{_FIRST_NUMBER + nth}", country="US", messages_per_second=MESSAGES_PER_SECOND)
        for nth in range(count)
    )
    chats = Chat.objects.bulk_create(Chat(platform=platform) for _ in numbers)
    people = Participant.objects.bulk_create(
        Participant(
            chat=chat,
            position=position,
            phone_number=f"+{_FIRST_NUMBER + count + position}",
            phone_digest=digest_number(f"+{_FIRST_NUMBER + count + position}"),
            virtual_number=number,
        )
        for chat, number in zip(chats, numbers, strict=True)
        for position in (1, 2)
    )
    return [person.pk for person in people]
