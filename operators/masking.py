"""How much of phone numbers, and of what people wrote, the operator whose request this is may see."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest

SEES_MASKED_NUMBERS = "operators.see_masked_numbers"
READS_TEXTS = "operators.read_texts"

# Outside the admin there is no operator: the API masks numbers, and gives platforms their texts.
_operator: ContextVar[Any] = ContextVar("operator", default=None)


@contextmanager
def seen_by(request: HttpRequest) -> Iterator[None]:
    """Within it, numbers and texts are shown as whoever is logged in may see them."""
    token = _operator.set(request.user)
    try:
        yield
    finally:
        _operator.reset(token)


def sees_masked_numbers() -> bool:
    """Return whether numbers are shown masked; if not, no digit of them is."""
    return _may(SEES_MASKED_NUMBERS)


def reads_texts() -> bool:
    """Return whether what people wrote is shown."""
    return _may(READS_TEXTS)


def _may(permission: str) -> bool:
    operator = _operator.get()
    # The user of a request is looked for only when somebody asks.
    return operator is None or bool(operator.has_perm(permission))
