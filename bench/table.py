"""The figures of a run, as one table for people and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Unit = Literal["/s", "ms", "MB"]


class BenchError(Exception):
    """Something broke, so that the figures are worth nothing; the message says what."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure. `floor` is the least work that could give it, and `floor_name` says of what."""

    figure: str
    measured: float
    unit: Unit
    floor: float | None = None
    floor_name: str = ""
    target: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.measured / self.floor if self.floor else None

    @property
    def meets_target(self) -> bool | None:
        if self.target is None:
            return None
        # Of rates more is better, of times and sizes less.
        return self.measured >= self.target if self.unit == "/s" else self.measured < self.target

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio, "meets_target": self.meets_target}

    def as_cells(self) -> tuple[str, ...]:
        target = ""
        if self.target is not None:
            sign, mark = "≥" if self.unit == "/s" else "<", "✓" if self.meets_target else "✗"
            target = f"{sign} {_show(self.target, self.unit)} {mark}"
        return (
            self.figure,
            _show(self.measured, self.unit),
            "" if self.floor is None else f"{_show(self.floor, self.unit)} {self.floor_name}",
            "" if self.ratio is None else f"{self.ratio:.2f}",
            target,
        )


def runs_of(scale: float) -> int:
    """Return how many runs the median is taken of."""
    return 3 if scale >= 0.1 else 1


def middle(values: Sequence[float]) -> float:
    """Return the median of the runs of a figure."""
    return float(median(values))


def format_table(rows: Sequence[Row]) -> str:
    """Return the table, with the numbers that are compared below each other."""
    cells = [("figure", "measured", "floor", "ratio", "target"), *(row.as_cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = [
        " | ".join(
            cell.rjust(width) if column in (1, 3) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def _show(value: float, unit: Unit) -> str:
    if unit == "/s":
        return f"{value:,.0f}/s"
    return f"{value:.1f} ms" if unit == "ms" else f"{value:.0f} MB"
