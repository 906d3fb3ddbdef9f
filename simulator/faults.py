"""The ways in which the simulated carrier can be told to misbehave."""

import math
import random
import re
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from simulator.settings import PHONE_NUMBER

# What each fault takes: the key of its main value (which `{"name": value}` is short for), and more keys.
_SWITCHES = (
    "refuse",
    "drop_after_accept",
    "empty_202",
    "no_receipts",
    "receipts_before_answer",
    "reorder_receipts",
    "double_receipts",
    "double_webhooks",
)
_MILLISECONDS = ("latency_ms", "jitter_ms", "receipt_delay_ms")
_COMMON = ("probability", "times", "virtual_number", "handset")
_OWN_KEYS: dict[str, tuple[str, ...]] = {
    **{name: () for name in _SWITCHES},
    **{name: ("value",) for name in _MILLISECONDS},
    "refuse": ("reset",),
    "drop_after_accept": ("reset",),
    "respond_with": ("status", "retry_after"),
    "final_status": ("status", "error_code"),
}
_FINAL_STATUSES = ("delivered", "rejected", "undeliverable")
_DEFAULT_ERROR_CODES = {"rejected": "1240", "undeliverable": "1331"}
_LONGEST_MS = 600_000
_LONGEST_WAIT_S = 86_400


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
        if fault is None:
            return None
        if fault.virtual_number is not None and fault.virtual_number != virtual_number:
            return None
        if fault.handset is not None and fault.handset != handset:
            return None
        if fault.probability < 1 and random.random() >= fault.probability:
            return None
        self.struck[name] = self.struck.get(name, 0) + 1
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self.active[name]
        return fault.options

    def as_json(self) -> dict[str, Any]:
        return {name: fault.as_json() for name, fault in self.active.items()}


def _parse_fault(name: str, value: Any) -> Fault | None:
    """Read one fault; None for one that is switched off."""
    if name not in _OWN_KEYS:
        raise FaultError(f"unknown fault {name!r}; there are {', '.join(_OWN_KEYS)}")
    if value is None or value is False:
        return None
    own = _OWN_KEYS[name]
    if isinstance(value, dict):
        given = dict(value)
    elif name in _SWITCHES:
        if value is not True:
            raise FaultError(f"{name} must be true, false or an object")
        given = {}
    else:
        given = {own[0]: value}
    for key in given:
        if key not in own and key not in _COMMON:
            raise FaultError(f"{name} takes {', '.join((*own, *_COMMON))}, not {key!r}")
    fault = Fault(options={key: given[key] for key in own if given.get(key) is not None})
    _check_options(name, fault.options)
    if (probability := given.get("probability")) is not None:
        if not _is_number(probability) or not 0 <= probability <= 1:
            raise FaultError(f"the probability of {name} must be from 0 to 1")
        fault.probability = probability
    if (times := given.get("times")) is not None:
        if not _is_integer(times) or times < 1:
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
    return fault


def _check_options(name: str, options: dict[str, Any]) -> None:
    if name in _MILLISECONDS:
        value = options.get("value")
        if not _is_number(value) or not 0 <= value <= _LONGEST_MS:
            raise FaultError(f"{name} must be a number of milliseconds from 0 to {_LONGEST_MS}")
    elif name in ("refuse", "drop_after_accept"):
        if not isinstance(options.setdefault("reset", False), bool):
            raise FaultError(f"the reset of {name} must be true or false")
    elif name == "respond_with":
        status, retry_after = options.get("status"), options.get("retry_after")
        if not _is_integer(status) or not 400 <= status <= 599:
            raise FaultError("respond_with must be an HTTP status from 400 to 599")
        if retry_after is not None and (not _is_integer(retry_after) or not 0 <= retry_after <= _LONGEST_WAIT_S):
            raise FaultError(f"the retry_after of respond_with must be whole seconds from 0 to {_LONGEST_WAIT_S}")
    elif name == "final_status":
        if options.get("status") not in _FINAL_STATUSES:
            raise FaultError(f"final_status must be one of {', '.join(_FINAL_STATUSES)}")
        code = str(options.get("error_code") or _DEFAULT_ERROR_CODES.get(options["status"], ""))
        if code and not re.fullmatch(r"[0-9]{1,6}", code):
            raise FaultError("the error_code of final_status must be digits, such as 1240")
        options["error_code"] = code or None


def _is_number(value: Any) -> TypeGuard[float]:
    return _is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
