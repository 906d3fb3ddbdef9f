"""The ways in which the simulated carrier can be told to misbehave."""

import random
from dataclasses import dataclass, field
from typing import Any

from simulator.fault_kinds import KINDS, Kind, is_integer, is_number
from simulator.phone_numbers import PHONE_NUMBER

_COMMON = ("probability", "times", "virtual_number", "handset")


class FaultError(Exception):
    """Says what is wrong with a fault somebody asked for."""


@dataclass(slots=True)
class Fault:
    """One misbehaviour: how often, how many times more, and for which numbers it strikes."""

    options: dict[str, Any]
    probability: float = 1.0
    times: int | None = None
    virtual_number: str | None = None
    handset: str | None = None

    def concerns(self, virtual_number: str, handset: str) -> bool:
        return self.virtual_number in (None, virtual_number) and self.handset in (None, handset)

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = dict(self.options) | {"probability": self.probability}
        for name in ("times", "virtual_number", "handset"):
            value = getattr(self, name)
            if value is not None:
                shown[name] = value
        return shown


@dataclass(slots=True)
class FaultSet:
    """The faults in force; empty in the common case, which must cost nothing."""

    active: dict[str, Fault] = field(default_factory=dict)
    struck: dict[str, int] = field(default_factory=dict)

    def replace(self, wanted: object) -> None:
        """Put these faults in the place of all others; raises FaultError and changes nothing when one is wrong."""
        if not isinstance(wanted, dict):
            raise FaultError("faults must be a JSON object of fault names")
        parsed = {name: _parse_fault(name, value) for name, value in wanted.items()}
        self.active = {name: fault for name, fault in parsed.items() if fault is not None}

    def clear(self) -> None:
        self.active = {}
        self.struck = {}

    def strike(self, name: str, virtual_number: str = "", handset: str = "") -> dict[str, Any] | None:
        """Return the fault's options if it strikes now, and count it; None otherwise."""
        fault = self.active.get(name)
        if fault is None or not fault.concerns(virtual_number, handset):
            return None
        if fault.probability < 1 and random.random() >= fault.probability:
            return None
        self.struck[name] = self.struck.get(name, 0) + 1
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self.active[name]
        return fault.options

    def look_up(self, name: str, virtual_number: str = "", handset: str = "") -> dict[str, Any] | None:
        """Return the fault's options if it concerns these numbers, without counting that it strikes."""
        fault = self.active.get(name)
        return fault.options if fault is not None and fault.concerns(virtual_number, handset) else None

    def as_json(self) -> dict[str, Any]:
        return {name: fault.as_json() for name, fault in self.active.items()}


def _parse_fault(name: str, value: Any) -> Fault | None:
    """Read one fault; None for one that is switched off."""
    if name not in KINDS:
        raise FaultError(f"unknown fault {name!r}; there are {', '.join(KINDS)}")
    if value is None or value is False:
        return None
    kind = KINDS[name]
    if isinstance(value, dict):
        given = value
    elif kind.main is not None:
        given = {kind.main: value}
    elif value is True:
        given = {}
    else:
        raise FaultError(f"{name} must be true, false or an object")
    for key in given:
        if key not in kind.options and key not in _COMMON:
            raise FaultError(f"{name} takes {', '.join((*kind.options, *_COMMON))}, not {key!r}")
    fault = Fault(options=_read_options(name, kind, given))
    _read_common(name, fault, given)
    return fault


def _read_options(name: str, kind: Kind, given: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for key, option in kind.options.items():
        value = given.get(key)
        if value is None:
            value = option.default
        if value is None and key != kind.main:
            continue
        if not option.passes(value):
            what = name if key == kind.main else f"the {key} of {name}"
            raise FaultError(f"{what} must be {option.must_be}")
        read[key] = value
    kind.complete(read)
    return read


def _read_common(name: str, fault: Fault, given: dict[str, Any]) -> None:
    if (probability := given.get("probability")) is not None:
        if not is_number(probability) or not 0 <= probability <= 1:
            raise FaultError(f"the probability of {name} must be from 0 to 1")
        fault.probability = probability
    if (times := given.get("times")) is not None:
        if not is_integer(times) or times < 1:
            raise FaultError(f"the times of {name} must be a whole number of at least 1")
        fault.times = times
    for key in ("virtual_number", "handset"):
        if (number := given.get(key)) is None:
            continue
        if name == "refuse":
            raise FaultError(f"refuse strikes before the request is read, so it cannot depend on {key}")
        if not isinstance(number, str) or not PHONE_NUMBER.fullmatch(number):
            raise FaultError(f"the {key} of {name} must be a phone number with +")
        setattr(fault, key, number)
