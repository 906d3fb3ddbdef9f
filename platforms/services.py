"""Create platforms, and create and revoke their API keys."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from django.core.exceptions import ValidationError
from django.db import transaction

from platforms.models import ApiKey, Platform
from platforms.templates import validate_no_phone_number


@dataclass(frozen=True, kw_only=True)
class CreatedPlatform:
    """A platform with a new key, which is kept nowhere else; `created` is False when the platform existed."""

    platform: Platform
    key: ApiKey
    api_key: str = field(repr=False)
    created: bool


class CannotCreatePlatform(Exception):
    """The name or the introduction cannot be used; the message says why."""


class CannotCreateApiKey(Exception):
    """The name or the expiry cannot be used; the message says why."""


def create_platform(*, name: str, introduction: str | None = None) -> CreatedPlatform:
    """Create a platform and a key for it; a platform that has this name already gets a further key.

    `introduction` replaces the one the platform has; None leaves it. Raises CannotCreatePlatform.
    """
    wanted = Platform(name=name.strip(), introduction=introduction or "")
    try:
        wanted.clean_fields()
        # It may be a part of what people are texted.
        validate_no_phone_number(wanted.name)
    except ValidationError as error:
        raise CannotCreatePlatform(" ".join(error.messages)) from error
    with transaction.atomic():
        platform, created = Platform.objects.get_or_create(
            name=wanted.name, defaults={"introduction": wanted.introduction}
        )
        if not created and introduction is not None and platform.introduction != introduction:
            platform.introduction = introduction
            platform.save(update_fields=["introduction"])
        key, api_key = ApiKey.objects.create_key(name=f"key {platform.api_keys.count() + 1}", platform=platform)
    return CreatedPlatform(platform=platform, key=cast(ApiKey, key), api_key=api_key, created=created)


def create_api_key(
    *, platform: Platform, name: str, role: ApiKey.Role, expires_at: datetime | None, now: datetime
) -> tuple[ApiKey, str]:
    """Create a further key of a platform and return it with its text, which is kept nowhere.

    Raises CannotCreateApiKey.
    """
    if expires_at and expires_at <= now:
        raise CannotCreateApiKey("The key would have expired already.")
    try:
        ApiKey(platform=platform, name=name.strip(), role=role).clean_fields(
            exclude=["platform", "id", "prefix", "hashed_key"]
        )
    except ValidationError as error:
        raise CannotCreateApiKey(" ".join(error.messages)) from error
    key, text = ApiKey.objects.create_key(platform=platform, name=name.strip(), role=role, expiry_date=expires_at)
    return cast(ApiKey, key), text


def revoke_api_key(*, prefix: str) -> bool:
    """Refuse from now on whoever uses the key that begins with `prefix`; False when no key in use does."""
    return ApiKey.objects.filter(prefix=prefix, revoked=False).update(revoked=True) == 1
