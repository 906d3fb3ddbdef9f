"""Who calls the API, and whether they may write: `Authorization: Bearer <key>` is one of a platform's keys."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from django.db import connection
from django.db.models import Model, Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from platforms.models import ApiKey, Platform
from proxy_project.sql import execute_prepared

LAST_USED_EVERY = timedelta(minutes=1)
NO_SUCH_KEY = "This API key does not exist, is revoked or has expired."
_BEARER = re.compile(rb"bearer +([!-~]{1,200})", re.IGNORECASE)


class ApiKeyAuthentication(BaseAuthentication):
    """Sets `request.user` to the platform and `request.auth` to the key, in one query."""

    def authenticate(self, request: Request) -> tuple[Platform, ApiKey] | None:
        header = get_authorization_header(request)
        if not header:
            return None
        match = _BEARER.fullmatch(header)
        if not match:
            raise AuthenticationFailed("Send the API key as `Authorization: Bearer <key>`.")
        key = _find_key(match[1].decode("ascii"))
        if key is None:
            raise AuthenticationFailed(NO_SUCH_KEY)
        _note_use(key, timezone.now())
        return key.platform, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ReadKeysOnlyRead(BasePermission):
    """Refuses to a key that may only read whatever could change something."""

    code = "read_only_key"
    message = "This API key may only read (GET). Use a key with the role `write`; the service's operator makes one."

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method in SAFE_METHODS or cast(ApiKey, request.auth).role == ApiKey.Role.WRITE


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """Documents ApiKeyAuthentication in the OpenAPI schema."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A platform's API key, shown once when an operator makes it. Its role is `read` (GET only) "
            "or `write` (everything). It may expire, and whoever uses it after it was revoked is refused at once.",
        }


def _find_key(text: str) -> ApiKey | None:
    of_key, of_platform = _columns_of(ApiKey), _columns_of(Platform)
    for row in execute_prepared(_make_query(), {"prefix": text.partition(".")[0]}):
        key: ApiKey = ApiKey.from_db(connection.alias, of_key, row[: len(of_key)])
        key.platform = Platform.from_db(connection.alias, of_platform, row[len(of_key) :])
        if key.is_valid(text) and not key.has_expired:
            return key
    return None


@cache
def _make_query() -> str:
    """Return what the ORM would ask, which would make and plan it anew for each request: a tenth of a short one."""
    columns = [f"key.{name}" for name in _columns_of(ApiKey)] + [f"platform.{name}" for name in _columns_of(Platform)]
    return f"""
        SELECT {", ".join(columns)}
          FROM platforms_apikey AS key JOIN platforms_platform AS platform ON platform.id = key.platform_id
         WHERE prefix = %(prefix)s AND NOT revoked
    """


@cache
def _columns_of(model: type[Model]) -> Sequence[str]:
    fields: Sequence[Any] = model._meta.concrete_fields
    assert all(field.column == field.attname for field in fields), "their columns would have to be renamed"
    assert not any(hasattr(field, "from_db_value") for field in fields), "their columns would have to be converted"
    return [field.attname for field in fields]


def _note_use(key: ApiKey, now: datetime) -> None:
    stale = now - LAST_USED_EVERY
    if key.last_used_at is None or key.last_used_at <= stale:
        # Of many requests at once, one moves it.
        ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lte=stale), pk=key.pk).update(last_used_at=now)
