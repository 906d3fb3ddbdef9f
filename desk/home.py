"""The first page of the admin: what needs a person, what today came to, and how the week went."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from desk.charts import Chart, DayOfChart, Line, Part, draw
from desk.figures import Day, Week, find_percentile, read_week
from desk.needs import list_needs
from desk.reasons import explain_code
from desk.setup import is_set_up
from desk.words import say_clock, say_count, say_money, say_percent, say_seconds, say_zone
from messaging.admin import LogDayFilter
from messaging.models import Message

_LOG = "admin:messaging_message_changelist"
_CHATS = "admin:chats_chat_changelist"
_NUMBERS = "admin:chats_virtualnumber_changelist"
_REASONS = 6

_Status = Message.Status
_ON_THE_WAY = (_Status.PREPARING, _Status.QUEUED, _Status.SENDING, _Status.HELD, _Status.UNCONFIRMED)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure of today, what it is of, and the rows behind it."""

    label: str
    value: str
    hint: str
    link: str
    tone: str = ""


def add_home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Put the desk into the context of the admin's first page, for unfold."""
    now = timezone.now()
    week = read_week(now=now)
    may_see_texts = request.user.has_perm("messaging.view_message")
    may_see_chats = request.user.has_perm("chats.view_chat")
    may_see_numbers = request.user.has_perm("chats.view_virtualnumber")
    tiles: list[Tile] = []
    charts: list[Chart] = []
    if may_see_texts:
        tiles += _list_text_tiles(week)
        charts += _draw_texts(week)
    if may_see_chats:
        tiles += _list_chat_tiles(week)
        charts.append(_draw_chats(week))
    if may_see_numbers:
        tiles.append(_make_pool_tile(week))
        charts.append(_draw_pool(week))
    return context | {
        "title": _("Home"),
        "needs": list_needs(user=request.user, week=week, now=now),
        "set_up_link": reverse("desk_setup") if may_see_texts and not is_set_up(week=week, now=now) else "",
        "tiles": tiles,
        "charts": charts,
        "reasons": _list_reasons(week) if may_see_texts else [],
        "shows_reasons": may_see_texts,
        "failures_link": reverse("desk_failures") if may_see_texts else "",
        "as_of": week.as_of and say_clock(week.as_of),
        "zone": say_zone(),
    }


# --- Today ---------------------------------------------------------------------------------------------------------


def _list_text_tiles(week: Week) -> list[Tile]:
    today, before = week.today, week.days[-2]
    failed, delivered = today.count("failed"), today.count("out", _Status.DELIVERED)
    moving = today.count("out", *_ON_THE_WAY)
    return [
        Tile(
            label=_("Texts from people"),
            value=say_count(today.count("in")),
            hint=_yesterday(say_count(before.count("in"))),
            link=_log_of(today, direction="in"),
        ),
        Tile(
            label=_("Texts to people"),
            value=say_count(today.count("out")),
            hint=_("%(count)s on their way") % {"count": say_count(moving)}
            if moving
            else _yesterday(say_count(before.count("out"))),
            link=_log_of(today, direction="out"),
        ),
        Tile(
            label=_("Delivered"),
            value=say_percent(delivered, delivered + failed),
            hint=_("%(count)s, of those known to have arrived or failed") % {"count": say_count(delivered)},
            link=_log_of(today, status=_Status.DELIVERED),
        ),
        Tile(
            label=_("Failed"),
            value=say_count(failed),
            hint=_yesterday(say_count(before.count("failed"))),
            link=_log_of(today, status=_Status.FAILED),
            tone="danger" if failed else "",
        ),
        Tile(
            label=_("Time to relay"),
            value=say_seconds(today.find_percentile("relay", 50)),
            hint=_("19 of 20 within %(time)s") % {"time": say_seconds(today.find_percentile("relay", 95))},
            link=_log_of(today, kind="relay"),
        ),
        Tile(
            label=_("Time to deliver"),
            value=say_seconds(today.find_percentile("delivery", 50)),
            hint=_("19 of 20 within %(time)s") % {"time": say_seconds(today.find_percentile("delivery", 95))},
            link=_log_of(today, status=_Status.DELIVERED),
        ),
        Tile(
            label=_("Cost"),
            value=_say_cost(today),
            hint=_yesterday(_say_cost(before)),
            link=_log_of(today, direction="out"),
        ),
    ]


def _list_chat_tiles(week: Week) -> list[Tile]:
    today, before = week.today, week.days[-2]
    return [
        Tile(
            label=_("Chats opened"),
            value=say_count(today.count("chats", "opened")),
            hint=_yesterday(say_count(before.count("chats", "opened"))),
            link=_chats_of(today, "created_at"),
        ),
        Tile(
            label=_("Chats ended"),
            value=say_count(today.count("chats", "ended")),
            hint=_yesterday(say_count(before.count("chats", "ended"))),
            link=_chats_of(today, "ended_at"),
        ),
    ]


def _make_pool_tile(week: Week) -> Tile:
    used, active = week.today.count("pool", "used"), week.today.count("pool", "active")
    return Tile(
        label=_("Numbers in use"),
        value=_("%(used)s of %(active)s") % {"used": say_count(used), "active": say_count(active)},
        hint=_("%(count)s chats open at most") % {"count": say_count(week.today.count("pool", "open"))},
        link=reverse(_NUMBERS),
    )


def _yesterday(words: str) -> str:
    return _("%(count)s yesterday") % {"count": words}


def _say_cost(day: Day) -> str:
    return " + ".join(say_money(amount, currency) for currency, amount in sorted(day.amounts["cost"].items())) or "–"


# --- The week ------------------------------------------------------------------------------------------------------


def _draw_texts(week: Week) -> list[Chart]:
    delivered = [day.count("out", _Status.DELIVERED) for day in week.days]
    failed = [day.count("failed") for day in week.days]
    return [
        _draw(
            title=_("Texts from people"),
            summary=_("%(count)s this week") % {"count": say_count(sum(day.count("in") for day in week.days))},
            week=week,
            stacks=lambda day: [
                [
                    _part(_("passed on"), "main", day.count("in", _Status.RELAYED), _log_of(day, status="relayed")),
                    _part(
                        _("answered by the service"), "quiet", day.count("in", _Status.KEYWORD),
                        _log_of(day, status=_Status.KEYWORD),
                    ),
                    _part(
                        _("not passed on"), "warning",
                        day.count("in", _Status.LATE, _Status.UNMATCHED, _Status.BLOCKED),
                        _log_of(day, direction="in"),
                    ),
                ]
            ],
            link=lambda day: _log_of(day, direction="in"),
            empty=_("Nobody has texted this week. People text the virtual number of their chat."),
        ),
        _draw(
            title=_("Texts to people"),
            summary=_("%(percent)s delivered")
            % {"percent": say_percent(sum(delivered), sum(delivered) + sum(failed))},
            week=week,
            stacks=lambda day: [
                [
                    _part(
                        _("delivered"), "good", day.count("out", _Status.DELIVERED),
                        _log_of(day, status=_Status.DELIVERED),
                    ),
                    _part(_("sent"), "main", day.count("out", _Status.SENT), _log_of(day, status=_Status.SENT)),
                    _part(_("on their way"), "quiet", day.count("out", *_ON_THE_WAY), _log_of(day, direction="out")),
                    _part(_("failed"), "danger", day.count("failed"), _log_of(day, status=_Status.FAILED)),
                ]
            ],
            link=lambda day: _log_of(day, direction="out"),
            empty=_("Nothing was texted this week. A chat begins with two introductions."),
        ),
        _draw_times(
            week, "relay", _("Time to relay"), {"kind": "relay"}, _("From when a text reached us to when it was sent.")
        ),
        _draw_times(
            week, "delivery", _("Time to deliver"), {"status": _Status.DELIVERED},
            _("From when a text was sent to when it arrived."),
        ),
        _draw_cost(week),
    ]  # fmt: skip


def _draw_times(week: Week, name: str, title: str, rows: dict[str, str], empty: str) -> Chart:
    def part(day: Day, label: str, tone: str, percent: int) -> Part:
        seconds = day.find_percentile(name, percent)
        return Part(label=label, tone=tone, amount=seconds, words=say_seconds(seconds), link=_log_of(day, **rows))

    return _draw(
        title=title,
        summary=_("half within %(half)s, 19 of 20 within %(most)s")
        % {
            "half": say_seconds(find_percentile(week.days, name, 50)),
            "most": say_seconds(find_percentile(week.days, name, 95)),
        },
        week=week,
        stacks=lambda day: [
            [part(day, _("half within"), "main", 50)],
            [part(day, _("19 of 20 within"), "quiet", 95)],
        ],
        link=lambda day: _log_of(day, **rows),
        empty=_("No times yet. %(what)s") % {"what": empty},
        say_top=say_seconds,
    )


def _draw_cost(week: Week) -> Chart:
    currencies = sorted({currency for day in week.days for currency in day.amounts["cost"]})
    tones = ("main", "quiet", "warning")
    total = [say_money(sum(day.amounts["cost"][currency] for day in week.days), currency) for currency in currencies]
    return _draw(
        title=_("Cost"),
        summary=" + ".join(total) or "–",
        week=week,
        # Currencies stand side by side: they do not add up.
        stacks=lambda day: [
            [
                Part(
                    label=currency or _("unknown"),
                    tone=tone,
                    amount=max(0, day.amounts["cost"][currency]),
                    words=say_money(day.amounts["cost"][currency], currency),
                    link=_log_of(day, direction="out"),
                )
            ]
            for currency, tone in zip(currencies, tones, strict=False)
        ],
        link=lambda day: _log_of(day, direction="out"),
        empty=_("No prices yet. The carrier tells them with its delivery receipts."),
        say_top=lambda micros: say_money(round(micros), currencies[0] if len(currencies) == 1 else ""),
    )


def _draw_chats(week: Week) -> Chart:
    return _draw(
        title=_("Chats"),
        summary=_("%(opened)s opened, %(ended)s ended")
        % {
            "opened": say_count(sum(day.count("chats", "opened") for day in week.days)),
            "ended": say_count(sum(day.count("chats", "ended") for day in week.days)),
        },
        week=week,
        stacks=lambda day: [
            [_part(_("opened"), "main", day.count("chats", "opened"), _chats_of(day, "created_at"))],
            [_part(_("ended"), "quiet", day.count("chats", "ended"), _chats_of(day, "ended_at"))],
        ],
        link=lambda day: _chats_of(day, "created_at"),
        empty=_("No chats this week. A platform opens one with POST /chats."),
    )


def _draw_pool(week: Week) -> Chart:
    return _draw(
        title=_("Numbers in use"),
        summary=_("%(used)s of %(active)s at most today")
        % {
            "used": say_count(week.today.count("pool", "used")),
            "active": say_count(week.today.count("pool", "active")),
        },
        week=week,
        stacks=lambda day: [
            [
                _part(_("in use"), "main", day.count("pool", "used"), reverse(_NUMBERS)),
                _part(
                    _("free"), "faint", day.count("pool", "active") - day.count("pool", "used"), reverse(_NUMBERS)
                ),
            ]
        ],
        link=lambda day: reverse(_NUMBERS),
        empty=_("No virtual numbers yet. Chats need at least one."),
    )  # fmt: skip


def _list_reasons(week: Week) -> list[Line]:
    """Return why texts failed this week, the most frequent reasons first."""
    counts: dict[str, int] = {}
    for day in week.days:
        for code, amount in day.amounts["failed"].items():
            counts[code] = counts.get(code, 0) + amount
    ranked = sorted(((amount, code) for code, amount in counts.items() if amount > 0), reverse=True)
    most = ranked[0][0] if ranked else 1
    return [
        Line(
            label=explain_code(code),
            words=say_count(amount),
            width=100 * amount / most,
            link=_log_of_days(LogDayFilter.WEEK, status=_Status.FAILED, error_code=code),
        )
        for amount, code in ranked[:_REASONS]
    ]


def _draw(
    *,
    title: str,
    summary: str,
    week: Week,
    stacks: Callable[[Day], Sequence[Sequence[Part]]],
    link: Callable[[Day], str],
    empty: str,
    say_top: Callable[[float], str] = lambda top: say_count(round(top)),
) -> Chart:
    days = [
        DayOfChart(
            label=date_format(day.date, "D"),
            long_label=date_format(day.date, "l, j F"),
            words="",
            link=link(day),
            stacks=stacks(day),
        )
        for day in week.days
    ]
    top = max((sum(part.amount or 0 for part in stack) for day in days for stack in day.stacks), default=0)
    return draw(title=title, summary=summary, days=days, top=say_top(top), empty=empty)


def _part(label: str, tone: str, amount: int, link: str) -> Part:
    return Part(label=label, tone=tone, amount=amount, words=say_count(amount), link=link)


# --- The rows behind a figure --------------------------------------------------------------------------------------


def _log_of(day: Day, **fields: str) -> str:
    return _log_of_days(day.date.isoformat(), **fields)


def _log_of_days(days: str, **fields: str) -> str:
    exact = {f"{name}__exact": str(value) for name, value in fields.items()}
    return f"{reverse(_LOG)}?{urlencode({LogDayFilter.parameter_name: days, **exact})}"


def _chats_of(day: Day, moment: str) -> str:
    bounds = {f"{moment}__gte": day.begins_at.isoformat(), f"{moment}__lt": day.ends_at.isoformat()}
    return f"{reverse(_CHATS)}?{urlencode(bounds)}"
