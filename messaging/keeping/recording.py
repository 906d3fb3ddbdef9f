"""Record what was done to what is kept of people: who erased, exported, or changed the keys."""

import getpass

import structlog

log = structlog.get_logger(__name__)


def record_keeping(action: str, **facts: object) -> None:
    """Record `action` of whoever runs this process; `facts` are ids and counts, never a number or a text."""
    log.info("kept data changed", action=action, by=_name_user(), **facts)


def _name_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
