"""Record who logs in and out of the admin, and who fails to."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest

from audit.log import Actor, operator_of, record
from audit.models import Action, AuditEntry
from proxy_project.request_ids import find_request_id

_CHECKED = "texting.password_was_checked"


def record_login(*, request: HttpRequest, user: AbstractBaseUser, **_: Any) -> None:
    record(action=Action.LOGGED_IN, by=operator_of(request, user), on=user)


def record_logout(*, request: HttpRequest, user: AbstractBaseUser | AnonymousUser | None, **_: Any) -> None:
    if isinstance(user, AbstractBaseUser):
        record(action=Action.LOGGED_OUT, by=operator_of(request, user), on=user)


def record_failed_login(*, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Record whose account it was, if anybody's; never what was typed, which may be a password."""
    users = get_user_model()
    name = str(credentials.get(users.USERNAME_FIELD, ""))[:150]
    # PostgreSQL takes no NUL.
    user = None if "\0" in name else users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
    if request is None or not was_checked(request):
        # What is refused without a look at the password is recorded once, when the lock begins.
        return
    by = Actor(kind=AuditEntry.ActorKind.NOBODY, request_id=find_request_id(request))
    record(action=Action.FAILED_LOGIN, by=by, on=user)


def note_check(request: HttpRequest) -> None:
    """Remember that a password is looked at in this request, which is so unless the login is locked."""
    request.META[_CHECKED] = True


def was_checked(request: HttpRequest) -> bool:
    return _CHECKED in request.META
