"""What goes wrong when: a plan made of the seed alone, so that a run can be repeated with the same choices."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

POSTGRES = "postgres"

_ALWAYS: dict[str, Any] = {
    "jitter_ms": 60,
    "double_webhooks": {"probability": 0.2},
    "reorder_receipts": {"probability": 0.1},
    "receipts_before_answer": {"probability": 0.1},
    "drop_after_accept": {"probability": 0.05},
    "refuse": {"probability": 0.03},
}
_FAULTS: tuple[dict[str, Any], ...] = (
    {"respond_with": {"status": 429, "retry_after": 1, "probability": 0.15}},
    {"respond_with": {"status": 500, "probability": 0.15}},
    {"respond_with": {"status": 402, "times": 2}},
    {"drop_after_accept": {"probability": 0.3, "reset": True}, "refuse": {"probability": 0.1, "reset": True}},
    {"final_status": {"status": "undeliverable", "probability": 0.1}},
    {
        "receipt_delay_ms": {"value": 1500, "probability": 0.5},
        "no_receipts": {"which": "submitted", "probability": 0.3},
    },
)


@dataclass(frozen=True, slots=True)
class Step:
    """At `at` seconds a program is killed, to be started again after `down_seconds`, or the faults change."""

    at: float
    program: str = ""
    down_seconds: float = 0.0
    faults: dict[str, Any] = field(default_factory=dict)


def make_plan(choices: random.Random, *, seconds: float, programs: Sequence[str], every_seconds: float) -> list[Step]:
    """Plan so many seconds: every program, PostgreSQL among them, gets its turn before any gets another."""
    steps: list[Step] = []
    bag: list[str] = []
    at = every_seconds / 2
    while at < seconds:
        bag = bag or choices.sample(list(programs), len(programs))
        steps.append(Step(at, bag.pop(), choices.uniform(0.1, 1.5)))
        at += every_seconds * choices.uniform(0.5, 1.5)
    phases = max(len(_FAULTS), round(seconds / 10))
    order = [fault for _ in range(phases // len(_FAULTS) + 1) for fault in choices.sample(_FAULTS, len(_FAULTS))]
    steps += [Step(number * seconds / phases, faults={**_ALWAYS, **order[number]}) for number in range(phases)]
    return sorted(steps, key=lambda step: step.at)
