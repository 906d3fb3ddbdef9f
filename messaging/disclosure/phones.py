"""Find phone numbers, however they are written."""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import phonenumbers

from messaging.disclosure.digits import Group, Run, read_runs
from messaging.disclosure.harmless import Context

# At most 15 digits: https://www.itu.int/rec/T-REC-E.164. Fewer than seven are nobody's number.
_MOST_DIGITS = 15
_FEWEST_DIGITS = 7
_ANY_LENGTH = range(_FEWEST_DIGITS, _MOST_DIGITS + 1)
# "order 4155550123": shorter ones that are called something else pass, like all order numbers of seven to nine digits.
_LENGTHS_WHATEVER_IT_IS_CALLED = (10, 11)
_FEWEST_DIGITS_WITH_COUNTRY = 8
# From here on, digits that nothing explains are taken for a phone number.
_FEWEST_DIGITS_UNEXPLAINED = 9
# How many words may stand before or after the part of a number that is texted in parts: "first part 0770".
_MOST_WORDS_AROUND = 4
# What parts the things of a list, or nothing usual, and so the digits of a number only when they are surely one.
_ENUMERATION = re.compile(r"[^\w .\-/()\[\]~|*·•:\n'\"]|(?<!\w)(?:and|y|et|und|e)(?!\w)")
_OPENING_SIGNS = "+( ["
_NANP_COUNTRY_CODE = 1
_PLANS = ("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "uan", "pager")


def find_phone_numbers(plain: str, *, region: str) -> list[tuple[int, int]]:
    """Return where the phone numbers of a text start and end."""
    return [
        (_include_signs(plain, groups[0].start), groups[-1].end)
        for run in read_runs(plain).runs
        for groups in _find_numbers(run, region)
    ]


def find_end_of_number(plain: str, earlier: Sequence[str], *, region: str) -> tuple[int, int] | None:
    """Return where the digits are that make a phone number with the last ones of the texts before, if they do."""
    here = read_runs(plain)
    if not here.runs or here.words_before > _MOST_WORDS_AROUND or here.runs[0].context is Context.OTHER:
        return None
    groups = list(here.runs[0].groups)
    start, end = _include_signs(plain, groups[0].start), groups[-1].end
    for previous in reversed(earlier):
        there = read_runs(previous)
        if there.words_after > _MOST_WORDS_AROUND:
            return None
        if not there.runs:
            continue  # "ok?" between two parts
        run = there.runs[-1]
        if run.context is Context.OTHER or any(_find_numbers(run, region)):
            return None  # a code; or a number that was whole, and was seen then
        groups = [*run.groups, *groups]
        digits = "".join(group.digits for group in groups)
        if len(digits) > _MOST_DIGITS:
            return None
        if _is_surely_a_number(digits, region, international=run.international) and not _is_a_list(groups):
            return start, end
        if len(there.runs) > 1 or there.words_before > _MOST_WORDS_AROUND:
            return None
    return None


def _find_numbers(run: Run, region: str) -> Iterator[Sequence[Group]]:
    """Return the run when it is one number, or those of its groups that are numbers by themselves."""
    groups = run.groups
    if _is_a_number(run, region):
        yield groups
        return
    first = 0
    while first < len(groups):
        last = _find_last_group(run, first, region)
        if last is not None:
            yield groups[first : last + 1]
            first = last
        first += 1


def _find_last_group(run: Run, first: int, region: str) -> int | None:
    """Return the last group of the longest sure number that begins with this group."""
    international = run.international and first == 0
    lengths = _list_lengths(run.groups[first].digits[0], region, international=international)
    digits = ""
    found = None
    for index in range(first, len(run.groups)):
        digits += run.groups[index].digits
        if len(digits) > _MOST_DIGITS:
            break
        if len(digits) in lengths and _is_sure(
            digits, run, run.groups[first : index + 1], region, international=international
        ):
            found = index
    return found


def _list_lengths(first_digit: str, region: str, *, international: bool) -> Collection[int]:
    """Return how many digits a sure number may have, so that thousands of others are not looked at."""
    if international or first_digit == "0":
        return _ANY_LENGTH
    plan = _compile_plan(region)
    return plan.lengths if plan else ()


def _is_sure(digits: str, run: Run, groups: Sequence[Group], region: str, *, international: bool) -> bool:
    if not _is_surely_a_number(digits, region, international=international):
        return False
    if run.context is Context.OTHER and not international:
        if len(groups) == 1:
            return len(digits) in _LENGTHS_WHATEVER_IT_IS_CALLED and not digits.startswith("00")
        return len(run.digits) <= _MOST_DIGITS
    return not _is_a_list(groups)


def _is_a_number(run: Run, region: str) -> bool:
    digits = run.digits
    if not _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS or _is_a_list(run.groups):
        return False
    if run.context is Context.OTHER or any(_ENUMERATION.search(group.gap) for group in run.groups):
        return _is_sure(digits, run, run.groups, region, international=run.international)
    if len(digits) >= _FEWEST_DIGITS_UNEXPLAINED and not _are_measures(run.groups):
        return True
    return (
        run.context is Context.PHONE
        or all(group.numeral for group in run.groups)
        or _is_local_nanp_number(run.groups, region)
        or _is_surely_a_number(digits, region, international=run.international)
    )


def _is_local_nanp_number(groups: Sequence[Group], region: str) -> bool:
    """555-0123, where people leave the area code away."""
    return (
        [len(group.digits) for group in groups] == [3, 4]
        and groups[1].gap in ("-", ".")
        and groups[0].digits[0] not in "01"
        and _is_nanp(region)
    )


def _is_a_list(groups: Sequence[Group]) -> bool:
    """101, 102, 103: numbers in equal steps, or years."""
    if len(groups) < 3:
        return False
    values = [int(group.digits) for group in groups]
    steps = {after - before for before, after in pairwise(values)}
    return (len(steps) == 1 and steps != {0}) or all(1900 <= value < 2100 for value in values)


def _are_measures(groups: Sequence[Group]) -> bool:
    """98 104 110 121 97: four or more small numbers, of different lengths, none with a zero before it."""
    lengths = {len(group.digits) for group in groups}
    return (
        len(groups) >= 4
        and len(lengths) > 1
        and max(lengths) <= 3
        and not any(group.digits[0] == "0" or group.numeral for group in groups)
    )


def _is_surely_a_number(digits: str, region: str, *, international: bool) -> bool:
    """Whether digits are a number in their own right, by the numbering plans, whatever stands around them."""
    if len(digits) < _FEWEST_DIGITS:
        return False
    if international or digits.startswith("00"):
        return _has_country_code(digits.removeprefix("00"))
    # Nearly everywhere outside America a number that is dialled inside its country begins with one zero.
    if digits[0] == "0":
        return 9 <= len(digits) <= 12
    return _is_valid(digits, region)


def _has_country_code(digits: str) -> bool:
    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    return _FEWEST_DIGITS_WITH_COUNTRY <= len(digits) <= _MOST_DIGITS and any(
        int(digits[:length]) in known for length in (1, 2, 3)
    )


def _is_valid(digits: str, region: str) -> bool:
    plan = _compile_plan(region)
    return plan is not None and plan.pattern.fullmatch(digits) is not None


@lru_cache(maxsize=512)
def _is_nanp(region: str) -> bool:
    return phonenumbers.country_code_for_region(region) == _NANP_COUNTRY_CODE


class _Plan(NamedTuple):
    """Whole numbers as they are dialled inside a region, where that is without a zero before them."""

    pattern: re.Pattern[str]
    lengths: frozenset[int]


@lru_cache(maxsize=512)
def _compile_plan(region: str) -> _Plan | None:
    """Return the plan of a region from the tables of phonenumbers; None when its numbers begin with a zero.

    The library's own `parse` and `is_valid_number` take 40 microseconds, and a text can hold thousands of candidates.
    """
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    # Brazilians leave the zero away.
    if metadata is None or (metadata.national_prefix == "0" and region != "BR"):
        return None
    patterns = [
        description.national_number_pattern
        for name in _PLANS
        if (description := getattr(metadata, name)) is not None and description.national_number_pattern
    ]
    if not patterns or metadata.general_desc is None:
        return None
    prefix, more = ("1?", 1) if _is_nanp(region) else ("", 0)
    lengths = metadata.general_desc.possible_length
    return _Plan(
        re.compile(f"{prefix}(?:{'|'.join(patterns)})"),
        frozenset(length + extra for length in lengths for extra in (0, more) if length >= _FEWEST_DIGITS),
    )


def _include_signs(plain: str, start: int) -> int:
    """Return where the plus and the bracket before a number start."""
    first = start
    while first > 0 and start - first < 3 and plain[first - 1] in _OPENING_SIGNS:
        first -= 1
    while plain[first] == " ":
        first += 1
    return first
