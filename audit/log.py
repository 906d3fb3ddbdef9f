"""Write the audit log, in the transaction of what it records."""

import getpass
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models, transaction
from django.http import HttpRequest

from audit.models import Action, AuditEntry
from proxy_project.request_ids import find_request_id

log = structlog.get_logger("audit")

_ActorKind = AuditEntry.ActorKind


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who does something, and in which request."""

    kind: AuditEntry.ActorKind
    id: str = ""
    name: str = ""
    request_id: UUID | None = None


def operator_of(request: HttpRequest, user: AbstractBaseUser | AnonymousUser | None = None) -> Actor:
    """Return the operator whose request of the admin this is, `user` if given; nobody, when nobody is logged in."""
    user = user or request.user
    request_id = find_request_id(request)
    if not user.is_authenticated:
        return Actor(kind=_ActorKind.NOBODY, request_id=request_id)
    return Actor(kind=_ActorKind.OPERATOR, id=str(user.pk), name=user.get_username(), request_id=request_id)


def caller_of(request: Any) -> Actor:
    """Return the platform whose request of the API this is, and the prefix of the key it came with."""
    name = f"{request.user}, key {request.auth.prefix}"
    return Actor(kind=_ActorKind.PLATFORM, id=str(request.user.pk), name=name, request_id=find_request_id(request))


def command(name: str) -> Actor:
    """Return the command `manage.py name` as the one who does something, and as whom it runs on its machine."""
    return Actor(kind=_ActorKind.COMMAND, id=_find_system_user(), name=name)


def _find_system_user() -> str:
    try:
        return getpass.getuser()[: AuditEntry._meta.get_field("actor_id").max_length]
    except (KeyError, OSError):
        return ""


def record(
    *, action: Action, by: Actor, on: models.Model | None = None, fields: Iterable[str] = (), reason: str = ""
) -> None:
    """Record that `by` did `action` to `on`, changing its `fields`; call it within the transaction that does it.

    What is committed is logged as well: a copy that whoever may change the database cannot change.
    """
    record_all(action=action, by=by, on=[on], fields=fields, reason=reason)


def record_all(
    *, action: Action, by: Actor, on: Sequence[models.Model | None], fields: Iterable[str] = (), reason: str = ""
) -> None:
    """Record the same of several objects, in one statement."""
    changed = ", ".join(fields)[: AuditEntry._meta.get_field("fields").max_length]
    entries = [
        AuditEntry(
            actor_kind=by.kind,
            actor_id=by.id,
            actor_name=by.name[: AuditEntry._meta.get_field("actor_name").max_length],
            action=action,
            object_type=each._meta.label_lower if each else "",
            object_id=_id_of(each) if each else "",
            fields=changed,
            reason=reason,
            request_id=by.request_id,
        )
        for each in on
    ]
    AuditEntry.objects.bulk_create(entries)
    transaction.on_commit(partial(_tell, entries))


def _id_of(each: models.Model) -> str:
    # The primary key of an API key has its hash in it.
    return str(getattr(each, "audit_id", each.pk))


def _tell(entries: Sequence[AuditEntry]) -> None:
    for entry in entries:
        log.info(
            "audited",
            audit=str(entry.pk),
            action=str(entry.action),
            actor=f"{entry.actor_kind} {entry.actor_id or entry.actor_name}".strip(),
            object_type=entry.object_type,
            object_id=entry.object_id,
            request=str(entry.request_id) if entry.request_id else None,
        )
