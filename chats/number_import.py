"""Add many virtual numbers at once, from lines that somebody has pasted: all that may be added, or none.

A line is a number, or number, country, rate, paced_by and platform between commas; the first line may name the columns.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import phonenumbers
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from audit.log import Actor, record_all
from audit.models import Action
from chats.models import VirtualNumber, mask
from chats.services import (
    CannotAddVirtualNumber,
    adding_many,
    describe_virtual_number,
    find_existing,
    find_people_among,
    insert_virtual_numbers,
)
from platforms.models import Platform

MOST_LINES = 5_000
COLUMNS = ("number", "country", "rate", "paced_by", "platform")
_HEADINGS = {"country_code": "country", "messages_per_second": "rate", "msisdn": "number", "paced by": "paced_by"}


class CannotRead(Exception):
    """This is no list of numbers; the message says why."""


class Changed(Exception):
    """Something is not as it was when `report` was made; nothing was added. `report` says how it is now."""

    def __init__(self, report: "Report") -> None:
        super().__init__("the report is out of date")
        self.report = report


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a line says, and what is wrong with it; without a problem, the row that it makes."""

    position: int
    shown: str = field(repr=False)
    problems: Sequence[str] = ()
    row: VirtualNumber | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Report:
    """Every line of a list, in its order."""

    lines: Sequence[Line]

    @cached_property
    def rows(self) -> list[VirtualNumber]:
        """What would be added."""
        return [line.row for line in self.lines if line.row]

    @cached_property
    def refused(self) -> list[Line]:
        return [line for line in self.lines if line.problems]

    @cached_property
    def fingerprint(self) -> str:
        """What two reports have in common that come to the same."""
        said = [
            (line.position, *line.problems)
            if line.row is None
            else (line.position, line.row.number, line.row.country, str(line.row.messages_per_second),
                  line.row.paced_by, str(line.row.platform_id), line.row.state)
            for line in self.lines
        ]  # fmt: skip
        return hashlib.sha256(repr(said).encode()).hexdigest()


def read_list(text: str) -> list[dict[str, str]]:
    """Return what the lines of `text` say, by column, with their `position`; empty lines are left out.

    Raises CannotRead when it holds nothing, too much, or a column that there is not.
    """
    text = text.lstrip("\N{ZERO WIDTH NO-BREAK SPACE}")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=False)
    columns: Sequence[str] = COLUMNS
    found: list[dict[str, str]] = []
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            if not any(values):
                continue
            if not found and columns is COLUMNS and (named := _read_headings(values)):
                columns = named
                continue
            if len(found) == MOST_LINES:
                raise CannotRead(_("At most %(most)s lines at once.") % {"most": f"{MOST_LINES:,}"})
            line = dict(zip(columns, values, strict=False))
            extra = [value for value in values[len(columns) :] if value]
            found.append({**line, "extra": ", ".join(extra), "position": str(reader.line_num)})
    except csv.Error as error:
        raise CannotRead(_("Line %(line)s is no CSV: %(why)s.") % {"line": reader.line_num, "why": error}) from None
    if not found:
        raise CannotRead(_("There is no number in it."))
    return found


def judge_list(
    entries: Sequence[dict[str, str]], *, state: VirtualNumber.State, platform: Platform | None
) -> Report:  # fmt: skip
    """Say of each line what it would add, or what is wrong with it, in three queries.

    `platform` is that of lines which name none.
    """
    return _compare_all(_judge_all(entries, state=state, platform=platform))


def add_list(
    entries: Sequence[dict[str, str]],
    *,
    state: VirtualNumber.State,
    platform: Platform | None,
    fingerprint: str,
    by: Actor,
) -> Report:
    """Add what the report with this fingerprint says, all of it, in one transaction. Raises Changed."""
    # Before the lock: it takes longer than what must happen under it.
    judged = _judge_all(entries, state=state, platform=platform)
    with adding_many():
        report = _compare_all(judged)
        if report.fingerprint != fingerprint:
            raise Changed(report)
        insert_virtual_numbers(report.rows)
        record_all(action=Action.ADDED, by=by, on=report.rows)
    return report


def _read_headings(values: Sequence[str]) -> list[str]:
    """Return the columns that a line names; none when it is no line of headings."""
    names = [value.casefold().replace(" ", "_") for value in values]
    names = [_HEADINGS.get(name, name) for name in names]
    if not any(name in COLUMNS for name in names):
        return []
    if unknown := [value for value, name in zip(values, names, strict=True) if name not in COLUMNS]:
        raise CannotRead(
            _("There is no column “%(column)s”; there are %(columns)s.")
            % {"column": unknown[0][:40], "columns": ", ".join(COLUMNS)}
        )
    if "number" not in names:
        raise CannotRead(_("There must be a column “number”."))
    return names


def _judge_all(
    entries: Sequence[dict[str, str]], *, state: VirtualNumber.State, platform: Platform | None
) -> list[Line]:  # fmt: skip
    platforms = {each.name.casefold(): each for each in Platform.objects.only("name")}
    return [_judge(entry, state=state, platform=platform, platforms=platforms) for entry in entries]


def _compare_all(lines: Sequence[Line]) -> Report:
    numbers = {line.row.number for line in lines if line.row}
    return Report(list(_compare(lines, existing=find_existing(numbers), people=find_people_among(numbers))))


def _judge(
    entry: dict[str, str],
    *,
    state: VirtualNumber.State,
    platform: Platform | None,
    platforms: dict[str, Platform],
) -> Line:
    problems = []
    country = entry.get("country", "").upper()
    number, problem = _read_number(entry.get("number", ""), country)
    if problem:
        problems.append(problem)
    if country and country not in phonenumbers.SUPPORTED_REGIONS:
        problems.append(_("The country must be an ISO 3166 code of two letters, such as US."))
        country = ""
    rate = None
    if entry.get("rate"):
        try:
            rate = float(entry["rate"].replace(",", "."))
        except ValueError:
            problems.append(_("The rate must be a number, such as 10 or 0.5."))
    paced_by = entry.get("paced_by", "").casefold()
    if paced_by and paced_by not in VirtualNumber.PacedBy.values:
        problems.append(_("“paced_by” is texts or segments."))
        paced_by = ""
    if named := entry.get("platform"):
        platform = platforms.get(named.casefold())
        if platform is None:
            problems.append(_("There is no platform “%(name)s”.") % {"name": named[:40]})
    if entry["extra"]:
        problems.append(_("There is more on the line than there are columns."))
    row = None
    if number:
        try:
            row = describe_virtual_number(
                number=number,
                platform=platform,
                country=country,
                messages_per_second=rate,
                state=state,
                paced_by=VirtualNumber.PacedBy(paced_by) if paced_by else None,
            )
        except CannotAddVirtualNumber as error:
            problems.append(_(str(error)))
    shown = number or entry.get("number", "")[:40]
    return Line(
        position=int(entry["position"]), shown=shown, problems=problems, row=None if problems else row
    )  # fmt: skip


def _read_number(text: str, country: str) -> tuple[str, str]:
    """Return the number in E.164, or what is wrong with it.

    Spreadsheets drop the plus: without one a number is read with its country code if that is the code of `country`.
    """
    plain = text.strip("'\"").translate(_PUNCTUATION)
    if plain.startswith("00"):
        plain = f"+{plain[2:]}"
    if plain.isascii() and plain.isdecimal() and country in phonenumbers.SUPPORTED_REGIONS:
        code = str(phonenumbers.country_code_for_region(country))
        national = phonenumbers.example_number(country)
        if plain.startswith(code) and national and len(plain) > len(str(national.national_number)):
            plain = f"+{plain}"
    if not plain:
        return "", _("There is no number.")
    if not (plain.startswith("+") and plain[1:].isascii() and plain[1:].isdecimal() and plain[1] != "0"):
        return "", _("Write the number with + and its country code, such as +14155550100.")
    if not 8 <= len(plain) <= 16:
        return "", _("A number has 7 to 15 digits with its country code.")
    return plain, ""


_PUNCTUATION = str.maketrans("", "", " \t\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{NON-BREAKING HYPHEN}-().")


def _compare(lines: Iterable[Line], *, existing: set[str], people: set[str]) -> Iterator[Line]:
    """Refuse what is there already, and what came before in the same list."""
    seen: dict[str, int] = {}
    for line in lines:
        if line.row is None:
            yield line
            continue
        number = line.row.number
        if number in seen:
            problem = _("The same number as in line %(line)s.") % {"line": seen[number]}
        elif number in existing:
            problem = _("This virtual number exists already.")
        elif number in people:
            problem = _("This is the phone number of a person in an open chat.")
        else:
            seen[number] = line.position
            yield line
            continue
        shown = mask(number) if number in people else number
        yield Line(position=line.position, shown=shown, problems=[problem])
