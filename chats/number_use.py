"""Say in the admin how virtual numbers are used and how they fare: for the rows of a page, in a query for each kind."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import F, Q
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chats.models import VirtualNumber
from chats.number_models import NumberHealth, PoolForecast
from chats.services import count_chats
from chats.transcript import show_number
from messaging.number_health import DayOfNumber, UseOfNumber, read_use

LIST_DAYS = 7
PAGE_DAYS = 28
# Of so few texts, a rate says nothing.
_ENOUGH = 20
_POOR_RATE = 80
# With fewer numbers left for somebody, more should be rented.
_FEW_LEFT = 3


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A day of a chart: how high its two bars are, in percent, and all of it in words."""

    x: float
    width: float
    inbound: float
    outbound: float
    words: str
    day: str
    texts_in: str
    texts_out: str
    delivered: str

    @property
    def top_in(self) -> float:
        return 100 - self.inbound

    @property
    def top_out(self) -> float:
        return 100 - self.outbound

    @property
    def x_out(self) -> float:
        return self.x + self.width


@dataclass(frozen=True, kw_only=True)
class NumberState:
    """How a virtual number is used and how it fares."""

    open_chats: int
    use: UseOfNumber
    health: NumberHealth | None

    @property
    def rate(self) -> str:
        """Which part of the texts that were settled has been delivered; a dash when there were none."""
        if not self.use.settled:
            return "–"
        percent = 100 * self.use.delivered / self.use.settled
        if self.use.failed and self.use.delivered:
            percent = min(max(percent, 0.1), 99.9)
        return f"{number_format(percent, 0 if percent in (0, 100) else 1)} %"

    @property
    def is_poor(self) -> bool:
        return self.use.settled >= _ENOUGH and 100 * self.use.delivered < _POOR_RATE * self.use.settled

    @property
    def last_inbound(self) -> str:
        if self.health and self.health.last_inbound_at:
            return say_moment(self.health.last_inbound_at)
        # Before anybody noted the time, the books did the day.
        return date_format(self.use.last_inbound_day, "j M") if self.use.last_inbound_day else _("none yet")

    @property
    def last_receipt(self) -> str:
        moment = self.health and self.health.last_receipt_at
        return say_moment(moment) if moment else _("none yet")

    def draw(self) -> list[Bar]:
        highest = self.use.highest or 1
        slot = 100 / max(1, len(self.use.days))
        return [
            _draw(day, x=index * slot + slot * 0.14, width=slot * 0.36, highest=highest)
            for index, day in enumerate(self.use.days)
        ]


@dataclass(frozen=True, kw_only=True)
class Closest:
    """Of a platform's people, the one who will be the first to find no number."""

    platform: str
    person: str
    words: str
    detail: str
    tone: str
    held: int
    numbers: int


def read_states(numbers: Sequence[VirtualNumber], *, days: int, now: datetime) -> dict[UUID, NumberState]:
    """Return how each of these virtual numbers is used and fares, in three queries."""
    ids = [number.pk for number in numbers]
    chats = count_chats(ids)
    health = NumberHealth.objects.in_bulk(ids)
    # The books keep days in UTC.
    use = read_use(number_ids=ids, days=days, today=now.astimezone(UTC).date())
    return {
        number_id: NumberState(
            open_chats=chats.get(number_id, 0), use=use[number_id], health=health.get(number_id)
        )
        for number_id in ids
    }  # fmt: skip


def find_closest(*, limit: int, number: VirtualNumber | None = None) -> list[Closest]:
    """Return who is closest to the limit, of each platform one; with `number`, of those whose chats may use it."""
    found = PoolForecast.objects.filter(held_by_busiest_person__gt=0).select_related("platform", "busiest_person")
    if number and number.platform_id:
        found = found.filter(Q(platform=number.platform_id))
    ordered = found.order_by(F("numbers") - F("held_by_busiest_person"), "platform__name")
    return [_describe(forecast) for forecast in ordered[:limit]]


def list_ailments(number: VirtualNumber, state: NumberState | None, *, now: datetime) -> list[tuple[str, str]]:
    """Return what is wrong with a number, the worst first, each with a tone; nothing when all is well."""
    found = []
    if number.missing_since:
        found.append(("danger", _("gone since %(time)s") % {"time": say_moment(number.missing_since)}))
    if number.unlinked_since:
        found.append(("danger", _("not linked to us since %(time)s") % {"time": say_moment(number.unlinked_since)}))
    if state and state.is_poor:
        found.append(("danger", _("only %(rate)s delivered") % {"rate": state.rate}))
    if number.throttled_at:
        if number.next_send_at > now:
            found.append(("warning", _("cools down until %(time)s") % {"time": say_moment(number.next_send_at)}))
        elif (now - number.throttled_at).days < 1:
            found.append(("warning", say_throttling(number)))
    return found


def say_moment(moment: datetime) -> str:
    """Return a time to the minute, in one piece that does not wrap in a narrow column."""
    return date_format(localtime(moment), "j M, H:i").replace(" ", "\N{NO-BREAK SPACE}")


def say_throttling(number: VirtualNumber) -> str:
    """Say how often the carrier has told the number to slow down."""
    if not number.throttled_at:
        return _("never told to slow down")
    times = ngettext("told to slow down once, at %(time)s", "told to slow down %(times)s times, last at %(time)s",
                     number.throttled_times)  # fmt: skip
    return times % {"times": number_format(number.throttled_times), "time": say_moment(number.throttled_at)}


def _draw(day: DayOfNumber, *, x: float, width: float, highest: int) -> Bar:
    label = date_format(day.day, "D j M")
    return Bar(
        x=x,
        width=width,
        inbound=_height(day.inbound, highest),
        outbound=_height(day.outbound, highest),
        day=label,
        words=_("%(day)s: %(in)s in, %(out)s out") % {"day": label, "in": _say(day.inbound), "out": _say(day.outbound)},
        texts_in=_say(day.inbound),
        texts_out=_say(day.outbound),
        delivered=_say(day.delivered),
    )


def _height(amount: int, highest: int) -> float:
    # What is there can be seen, however little it is.
    return max(3.0, 100 * amount / highest) if amount else 0.0


def _say(amount: int) -> str:
    return number_format(amount, force_grouping=True)


def _describe(forecast: PoolForecast) -> Closest:
    left = forecast.chats_left
    words = ngettext("%(left)s more chat", "%(left)s more chats", left) if left else _("no further chat")
    person = show_number(forecast.busiest_person.phone_number) if forecast.busiest_person else ""
    return Closest(
        platform=forecast.platform.name,
        person=person or _("somebody"),
        words=words % {"left": _say(left)} if left else words,
        detail=ngettext(
            "holds or cools down from %(held)s of %(numbers)s number",
            "holds or cools down from %(held)s of %(numbers)s numbers",
            forecast.numbers,
        )
        % {"held": _say(forecast.held_by_busiest_person), "numbers": _say(forecast.numbers)},
        tone="danger" if left == 0 else "warning" if left < _FEW_LEFT else "good",
        held=forecast.held_by_busiest_person,
        numbers=forecast.numbers,
    )
