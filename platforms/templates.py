"""What a template of a text may be: which kinds there are, what they may name in braces, and how they are filled in."""

import re
from collections.abc import Mapping

import langcodes
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import TextChoices
from langcodes.tag_parser import LanguageTagError

from messaging.segments import count_segments

LONGEST_TEMPLATE = 600
LONGEST_MARK = 80
# RFC 5646 §4.4.1 asks for room for 35 characters.
LONGEST_TAG = 35
# Of people, as in POST /chats; of other fields, the rest is cut off.
LONGEST_NAME = 40
LONGEST_VALUE = 100


class TemplateKind(TextChoices):
    """What the service itself texts to people; the marks stand within what they text each other."""

    INTRODUCTION = "introduction", "introduction: the first text of a chat"
    CONSENT_REQUEST = "consent_request", "introduction that asks for YES, where people are asked first"
    CLOSING = "closing", "closing text: the last text of a chat"
    REPLACEMENT = "replacement", "somebody else took the counterpart's place"
    NEW_PHONE = "new_phone", "the counterpart has another phone"
    CHAT_ENDED = "chat_ended", "texted after the end"
    CHAT_NOT_STARTED = "chat_not_started", "texted before the start"
    NO_LONGER_IN_CHAT = "no_longer_in_chat", "texted after being replaced"
    NOT_DELIVERED = "not_delivered", "a text did not reach the counterpart"
    COUNTERPART_OPTED_OUT = "counterpart_opted_out", "the counterpart gets no texts any more"
    COUNTERPART_OPTED_IN = "counterpart_opted_in", "the counterpart gets texts again"
    WAITS_FOR_CONSENT = "waits_for_consent", "the counterpart has not said YES yet"
    OPTED_OUT = "opted_out", "texted STOP, which counts for the virtual number"
    OPTED_OUT_OF_PLATFORM = "opted_out_of_platform", "texted STOP, which counts for all virtual numbers"
    OPTED_IN = "opted_in", "texted START"
    CONSENTED = "consented", "texted YES when asked"
    HELP = "help", "texted HELP"
    CANNOT_PASS_ON_MEDIA = "cannot_pass_on_media", "texted what cannot be passed on"
    CANNOT_PASS_ON_EMPTY = "cannot_pass_on_empty", "texted nothing"
    CANNOT_PASS_ON_BINARY = "cannot_pass_on_binary", "texted binary data"
    CANNOT_PASS_ON_TOO_LONG = "cannot_pass_on_too_long", "texted too much"
    DISCLOSURE_REMOVED = "disclosure_removed", "texted what gives them away, which was removed"
    DISCLOSURE_BLOCKED = "disclosure_blocked", "texted what gives them away, which was not passed on"
    STOPPED_TOO_MANY = "stopped_too_many", "texted too often in a minute"
    STOPPED_TOO_MANY_A_DAY = "stopped_too_many_a_day", "texted too often in a day"
    STOPPED_REPEATED = "stopped_repeated", "texted the same again and again"
    STOPPED_LOOP = "stopped_loop", "texted as fast as a machine"
    STOPPED_RECIPIENT_BLOCKED = "stopped_recipient_blocked", "the counterpart was blocked"
    REPORTED = "reported", "texted REPORT"
    NOT_APPROVED = "not_approved", "texted what the approval hook did not let pass"
    NOT_CHECKED = "not_checked", "texted what the approval hook gave no answer about, and then texts are blocked"
    STRANGER = "stranger", "texted a number of the platform's own, and is in no chat there"
    ATTACHMENT_WITHHELD = "attachment_withheld", "attached what could give them away"
    ATTACHMENT_MISSING = "attachment_missing", "attached what could not be fetched"
    WITHHELD_VCARD = "withheld_vcard", "mark: a contact card was withheld"
    WITHHELD_FILE = "withheld_file", "mark: a file was withheld"
    MISSING_IMAGE = "missing_image", "mark: a picture is missing"
    MISSING_AUDIO = "missing_audio", "mark: an audio recording is missing"
    MISSING_VIDEO = "missing_video", "mark: a video is missing"
    MISSING_VCARD = "missing_vcard", "mark: a contact card is missing"
    MISSING_FILE = "missing_file", "mark: a file is missing"
    REMOVED_PHONE = "removed_phone", "mark: a phone number was removed"
    REMOVED_EMAIL = "removed_email", "mark: an e-mail address was removed"
    REMOVED_LINK = "removed_link", "mark: a link was removed"
    REMOVED_HANDLE = "removed_handle", "mark: a messenger account was removed"

    @property
    def is_mark(self) -> bool:
        return self.value.startswith(("withheld_", "missing_", "removed_"))


_INTRODUCTIONS = (TemplateKind.INTRODUCTION, TemplateKind.CONSENT_REQUEST)
_PLATFORM = "platform"
_FIELDS = ("name", "counterpart", _PLATFORM, "reference")
_FORMER = "former"
# What gives somebody away, in words: a phone number and a link.
_FOUND = "found"
_OTHER_FIELDS = {
    TemplateKind.REPLACEMENT: [_FORMER],
    TemplateKind.DISCLOSURE_REMOVED: [_FOUND],
    TemplateKind.DISCLOSURE_BLOCKED: [_FOUND],
}
_ANY_METADATA = "metadata.…"
_METADATA = re.compile(r"metadata\.[A-Za-z0-9_-]{1,40}")
_FIELD = re.compile(r"\{([A-Za-z0-9_.-]+)\}")


def list_fields(kind: TemplateKind) -> list[str]:
    """Return what a template of this kind may name in braces."""
    if kind.is_mark:
        return []
    if kind is TemplateKind.STRANGER:
        return [_PLATFORM]
    others = _OTHER_FIELDS.get(kind, [])
    return [*_FIELDS, *others, _ANY_METADATA]


def find_fields(text: str) -> list[str]:
    """Return the fields that a template names."""
    return _FIELD.findall(text)


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return a template with its fields replaced, once: what stands in a value is never a field itself."""
    return _FIELD.sub(lambda match: values.get(match[1], ""), text)


def validate_template(kind: TemplateKind, text: str) -> None:
    """Raise ValidationError unless `text` can be a template of this kind.

    It names no field but those there are, and no phone number, which carriers drop texts for; an introduction says how
    to opt out, as carriers expect, and one that asks, how to agree; and with long names it is not too expensive.
    """
    known = list_fields(kind)
    metadata = _ANY_METADATA in known
    unknown = [name for name in find_fields(text) if not (name in known or (metadata and _METADATA.fullmatch(name)))]
    if unknown or re.search(r"[{}]", _FIELD.sub("", text)):
        fields = ", ".join(f"{{{field}}}" for field in known) or "none"
        raise ValidationError(
            f"Use only these fields in braces, without a format: {fields}.", code="unknown_template_field"
        )
    if not text.strip():
        raise ValidationError("Must not be empty.", code="blank")
    if any(not character.isprintable() and character != "\n" for character in text):
        raise ValidationError("Must not contain control characters.", code="not_text")
    if kind in _INTRODUCTIONS and not re.search(r"\bSTOP\b", text):
        raise ValidationError("Say how to opt out, such as “Reply STOP to opt out.”", code="no_opt_out")
    if kind is TemplateKind.CONSENT_REQUEST and not asks_for_yes(text):
        raise ValidationError("Say how to agree, such as “Reply YES to agree.”", code="no_question")
    validate_no_phone_number(text)
    if kind.is_mark and len(text) > LONGEST_MARK:
        raise ValidationError(f"A mark within a text has at most {LONGEST_MARK} characters.", code="max_length")
    segments = count_segments(fill_in(text, _fill_fully(text)))
    if segments > settings.TEMPLATE_MAX_SEGMENTS:
        raise ValidationError(
            f"With long names it takes {segments} segments; at most {settings.TEMPLATE_MAX_SEGMENTS:g} are allowed "
            "(TEMPLATE_MAX_SEGMENTS).",
            code="too_many_segments",
        )


def asks_for_yes(text: str) -> bool:
    """Tell whether a template says that YES is the answer."""
    return bool(re.search(r"\bYES\b", text))


def validate_introduction(text: str) -> None:
    """Raise ValidationError unless `text` can be an introduction."""
    validate_template(TemplateKind.INTRODUCTION, text)


def validate_no_phone_number(text: str) -> None:
    """Raise ValidationError when `text` could quote a phone number: seven digits or more, however separated."""
    if could_be_phone_number(text):
        raise ValidationError("Must not contain a phone number: it would be texted to people.", code="phone_number")


def could_be_phone_number(text: str) -> bool:
    """Tell whether there are seven digits or more, however separated."""
    return bool(re.search(r"(?:\d[\s().\-/+]*){7}", text))


def validate_language(tag: str) -> None:
    """Raise ValidationError unless `tag` is a language of BCP 47, written as `normalize_language` would."""
    try:
        is_valid = len(tag) <= LONGEST_TAG and langcodes.tag_is_valid(tag) and normalize_language(tag) == tag
    except LanguageTagError:
        is_valid = False
    if not is_valid:
        raise ValidationError("Must be a language tag (BCP 47), such as en, es or pt-BR.", code="invalid_language")


def normalize_language(tag: str) -> str:
    """Return a language tag as BCP 47 writes it: pt-BR for pt_br; what is none, as it is."""
    try:
        return str(langcodes.standardize_tag(tag))
    except LanguageTagError:
        return tag


def list_languages(tag: str) -> list[str]:
    """Return what somebody who asked for a language understands, the best first: es-MX, then es.

    https://www.rfc-editor.org/rfc/rfc4647#section-3.4
    """
    parts = tag.split("-") if tag else []
    return ["-".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _fill_fully(text: str) -> dict[str, str]:
    people = ("name", "counterpart", _FORMER)
    return {name: "x" * (LONGEST_NAME if name in people else LONGEST_VALUE) for name in find_fields(text)}
