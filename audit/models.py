"""The audit log: who did what to which object, when and why. It is added to, and never changed.

PostgreSQL refuses any change (migration 0001); who may connect as what is in docs/decisions/0026-audit.md.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext

from proxy_project.ids import make_id

LONGEST_REASON = 200
# Seven digits are a phone number in some country.
_MAY_BE_NUMBER = r"(\d[\s().\-/+]*){7}"


class Action(models.TextChoices):
    """What can be done that somebody may ask about later."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
    READ_CHAT = "read_chat", "read a chat"
    READ_MESSAGE = "read_message", "read a text"
    REVEALED_NUMBER = "revealed_number", "revealed a phone number"
    ENDED_CHAT = "ended_chat", "ended a chat"
    REOPENED_CHAT = "reopened_chat", "reopened a chat"
    REPLACED_PARTICIPANT = "replaced_participant", "replaced a participant"
    EXTENDED_CHAT = "extended_chat", "moved the end of a chat"
    TEXTED_PEOPLE = "texted_people", "texted people of a chat"
    MUTED_PARTICIPANT = "muted_participant", "muted a participant"
    UNMUTED_PARTICIPANT = "unmuted_participant", "unmuted a participant"
    BLOCKED_PARTICIPANT = "blocked_participant", "blocked a participant"
    UNBLOCKED_PARTICIPANT = "unblocked_participant", "unblocked a participant"
    HANDLED_REPORT = "handled_report", "handled a report"
    EXPORTED = "exported"
    EXPORTED_PERSON = "exported_person", "exported what is held about a person"
    RESENT_TEXT = "resent_text", "sent a failed text again"
    TOLD_SENDER = "told_sender", "told the sender of a failed text"
    HANDLED_FAILURE = "handled_failure", "ticked off a failed text"
    SENT_TEST_TEXT = "sent_test_text", "sent a test text"
    CHECKED_ACCOUNT = "checked_account", "checked the account at the gateway"
    ERASED_PERSON = "erased_person", "erased a person"
    REAPPLIED_ERASURES = "reapplied_erasures", "erased again whom a backup brought back"
    ROTATED_KEYS = "rotated_keys", "encrypted everything anew"
    GAVE_UP_KEY = "gave_up_key", "gave up an encryption key"
    MADE_KEY = "made_key", "made an API key"
    REVOKED_KEY = "revoked_key", "revoked an API key"
    MADE_SECRET = "made_secret", "made a new webhook secret"
    PINGED_ENDPOINT = "pinged_endpoint", "pinged a webhook endpoint"
    REDELIVERED_EVENT = "redelivered_event", "delivered an event again"
    SYNCED_NUMBERS = "synced_numbers", "synced the virtual numbers"
    GRANTED_ROLE = "granted_role", "set the rights of a database role"
    LOGGED_IN = "logged_in", "logged in"
    LOGGED_OUT = "logged_out", "logged out"
    FAILED_LOGIN = "failed_login", "failed to log in"
    LOCKED_LOGIN = "locked_login", "was locked out of the login"
    ADDED_SECOND_FACTOR = "added_second_factor", "set up a second factor"
    REMOVED_SECOND_FACTOR = "removed_second_factor", "removed a second factor"


def list_actions() -> list[tuple[str, str]]:
    """Return the choices in the operator's language; a function, so that a new one needs no migration."""
    return [(value, gettext(label)) for value, label in Action.choices]


class AuditEntry(models.Model):
    """One thing that somebody did. No phone number and no text is in it, and nothing of what was read or changed."""

    class ActorKind(models.TextChoices):
        OPERATOR = "operator"
        PLATFORM = "platform"
        COMMAND = "command"
        NOBODY = "nobody", "somebody not logged in"

    id = models.UUIDField(primary_key=True, default=make_id, editable=False)
    # The clock of the database, whatever a process believes.
    at = models.DateTimeField(db_default=Now())
    actor_kind = models.CharField("who", max_length=10, choices=ActorKind)
    # A user's or a platform's, or the system's user who ran a command. Without constraints here and below, since the
    # log outlives what it names.
    actor_id = models.CharField(max_length=40, blank=True)
    # As it was: a user name; a platform and the prefix of its key; a command.
    actor_name = models.CharField("person", max_length=150, blank=True)
    action = models.CharField(max_length=30, choices=list_actions)
    object_type = models.CharField(max_length=60, blank=True)
    object_id = models.CharField(max_length=40, blank=True)
    # Which fields were changed, never to what.
    fields = models.CharField(max_length=400, blank=True)
    reason = models.CharField(max_length=LONGEST_REASON, blank=True)
    # The X-Request-Id that was answered, and is in the lines of the service's log.
    request_id = models.UUIDField(null=True, blank=True)

    class Meta:
        ordering = ("-at", "-id")
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        permissions = (("reveal_phone_number", "Can see a participant's phone number"),)
        constraints = (
            # The admin shows reasons to everybody who may see the log.
            models.CheckConstraint(condition=~Q(reason__regex=_MAY_BE_NUMBER), name="audit_reason_quotes_no_number"),
        )
        indexes = (
            # The admin's list, newest first, its days, and the retention of the log.
            models.Index(fields=["at", "id"], name="audit_by_time"),
            # The admin: what one person did.
            models.Index(fields=["actor_name", "at"], name="audit_by_actor"),
            # The admin: what was done to one object.
            models.Index(fields=["object_id", "at"], name="audit_by_object"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.pk}"
