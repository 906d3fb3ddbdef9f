"""Create platforms and their API keys."""

from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import transaction

from platforms.models import ApiKey, Platform, validate_no_phone_number


@dataclass(frozen=True, kw_only=True)
class CreatedPlatform:
    """A platform with a new key, which is kept nowhere else; `created` is False when the platform existed."""

    platform: Platform
    api_key: str = field(repr=False)
    created: bool


class CannotCreatePlatform(Exception):
    """The name or the introduction cannot be used; the message says why."""


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
        _, api_key = ApiKey.objects.create_key(name=f"key {platform.api_keys.count() + 1}", platform=platform)
    return CreatedPlatform(platform=platform, api_key=api_key, created=created)
