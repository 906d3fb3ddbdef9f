"""Set, show and remove the URL that a platform is asked at before a text is passed on."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from platforms.models import ApprovalHook, Platform
from platforms.signing import OLD_SECRET_LIVES, make_secret


class NoHook(Exception):
    """The platform has no approval hook."""


@dataclass(frozen=True, kw_only=True)
class SavedHook:
    """A hook as it is now; `secret` is there when it is new, and is shown this once."""

    hook: ApprovalHook
    secret: str | None = field(repr=False)


def set_hook(*, platform: Platform, url: str, timeout_seconds: int, default: ApprovalHook.Default) -> SavedHook:
    """Ask at `url`, which has been checked, about every text from now on, or from now on there.

    A hook that is changed keeps its secret.
    """
    with transaction.atomic():
        _lock(platform)
        hook = ApprovalHook.objects.select_for_update().filter(platform=platform).first()
        secret = None if hook else make_secret()
        if hook is None:
            assert secret
            hook = ApprovalHook(platform=platform, secret=secret)
        elif hook.url != url:
            # What is known of the other URL says nothing about this one.
            hook.consecutive_failures, hook.skipped_until = 0, None
        hook.url, hook.timeout_seconds, hook.default = url, timeout_seconds, default
        hook.save()
        _switch(platform, on=True)
    hook.refresh_from_db()
    return SavedHook(hook=hook, secret=secret)


def remove_hook(*, platform: Platform) -> None:
    """Ask no more; the texts that wait to be asked about are passed on as they are. Raises NoHook."""
    with transaction.atomic():
        _lock(platform)
        deleted, _ = ApprovalHook.objects.filter(platform=platform).delete()
        _switch(platform, on=False)
    if not deleted:
        raise NoHook("You have no approval hook: PUT one first.")


def find_hook(*, platform: Platform) -> ApprovalHook:
    """Return the hook of `platform`. Raises NoHook."""
    hook = ApprovalHook.objects.filter(platform=platform).defer("secret", "previous_secret").first()
    if hook is None:
        raise NoHook("You have no approval hook: PUT one first.")
    return hook


def rotate_hook_secret(*, platform: Platform, now: datetime) -> SavedHook:
    """Give the hook a new secret; the one before it signs as well for a day, the one before that no more.

    Raises NoHook.
    """
    with transaction.atomic():
        hook = ApprovalHook.objects.select_for_update().filter(platform=platform).first()
        if hook is None:
            raise NoHook("You have no approval hook: PUT one first.")
        hook.previous_secret, hook.previous_secret_until = hook.secret, now + OLD_SECRET_LIVES
        hook.secret = secret = make_secret()
        hook.save(update_fields=["secret", "previous_secret", "previous_secret_until"])
    return SavedHook(hook=hook, secret=secret)


def _lock(platform: Platform) -> None:
    """Let nobody else set or remove the hook until the transaction ends."""
    Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)


def _switch(platform: Platform, *, on: bool) -> None:
    Platform.objects.filter(pk=platform.pk).update(asks_for_approval=on)
    platform.asks_for_approval = on
