"""What a chart of the desk is made of: bars by day or by reason, each of which leads to the rows behind it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a bar: how much in words, from where to where in percent of the chart, and the rows behind it."""

    label: str
    tone: str
    words: str
    link: str
    bottom: float
    height: float

    @property
    def top(self) -> float:
        return 100 - self.bottom - self.height


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A day of a chart; `stacks` stand side by side, each of segments one upon the other."""

    label: str
    long_label: str
    words: str
    link: str
    stacks: Sequence[Sequence[Segment]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a chart shows of a day: an amount, how it is said, and the rows behind it; None: there is nothing to say."""

    label: str
    tone: str
    amount: float | None
    words: str
    link: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars by day, with a legend when there are several tones, and a scale."""

    title: str
    summary: str
    bars: Sequence[Bar]
    legend: Sequence[tuple[str, str]]
    top: str
    empty: str
    is_empty: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """A bar of a chart by reason, lying down."""

    label: str
    words: str
    width: float
    link: str


@dataclass(frozen=True, kw_only=True)
class DayOfChart:
    """What `draw` wants to know of a day."""

    label: str
    long_label: str
    words: str
    link: str
    stacks: Sequence[Sequence[Part]]


def draw(*, title: str, summary: str, days: Sequence[DayOfChart], top: str, empty: str) -> Chart:
    """Return the chart of some days, each bar as high as the highest allows; `top` says how much that is."""
    highest = max((_sum(stack) for day in days for stack in day.stacks), default=0)
    legend: dict[str, str] = {}
    for day in days:
        for stack in day.stacks:
            legend |= {part.label: part.tone for part in stack}
    return Chart(
        title=title,
        summary=summary,
        bars=[_draw_bar(day, highest) for day in days],
        legend=list(legend.items()) if len(legend) > 1 else [],
        top=top,
        empty=empty,
        is_empty=not highest,
    )


def _draw_bar(day: DayOfChart, highest: float) -> Bar:
    return Bar(
        label=day.label,
        long_label=day.long_label,
        words=day.words,
        link=day.link,
        stacks=[_draw_stack(stack, highest) for stack in day.stacks],
    )


def _draw_stack(stack: Sequence[Part], highest: float) -> list[Segment]:
    segments, bottom = [], 0.0
    for part in stack:
        height = 100 * (part.amount or 0) / highest if highest else 0.0
        if part.amount:
            # What is there can be seen, however little it is.
            height = max(height, 1.5)
        shown = Segment(
            label=part.label, tone=part.tone, words=part.words, link=part.link, bottom=bottom, height=height
        )
        segments.append(shown)
        bottom += height
    return segments


def _sum(stack: Sequence[Part]) -> float:
    return sum(part.amount or 0 for part in stack)
