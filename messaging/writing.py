"""Write what the service texts to somebody: in their language, in their platform's words or its own.

Templates are read when such a text is queued, and never for a text that is passed on.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import connection

from chats.models import Chat, Participant
from messaging.models import Message
from messaging.outbox import Recipient, queue_text
from messaging.wording import ASK_AS_WELL, BUILT_IN, ENGLISH, NAMELESS, name_found
from platforms.models import Platform, Template
from platforms.templates import (
    LONGEST_VALUE,
    TemplateKind,
    asks_for_yes,
    could_be_phone_number,
    fill_in,
    find_fields,
    list_languages,
)
from proxy_project.sql import execute_prepared

_TEMPLATE_FIELDS = ("id", "platform_id", "kind", "language", "side", "text")
_TEMPLATES = f"""
    SELECT {", ".join(_TEMPLATE_FIELDS)} FROM platforms_template
     WHERE platform_id = ANY((SELECT %(platforms)s::uuid[])::uuid[]) AND kind = ANY((SELECT %(kinds)s::text[])::text[])
     ORDER BY kind, language, side
"""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads a text: in what language, on which side of a chat if of any, and what fields hold for them."""

    language: str
    side: int | None
    values: Mapping[str, str] = field(repr=False)
    # What gives the reader away in a text of theirs, as messaging.disclosure.Kind, to be said in words.
    found: Sequence[str] = ()


def read_templates(*, platform_ids: Collection[UUID], kinds: Collection[TemplateKind]) -> dict[UUID, list[Template]]:
    """Return the templates of these kinds that each of these platforms has, if it has any, in one query."""
    found: dict[UUID, list[Template]] = {}
    for row in execute_prepared(_TEMPLATES, {"platforms": list(platform_ids), "kinds": [kind.value for kind in kinds]}):
        template = Template.from_db(connection.alias, _TEMPLATE_FIELDS, row)
        found.setdefault(template.platform_id, []).append(template)
    return found


def describe_reader(*, chat: Chat, participant: Participant, counterpart: str, former: str = "") -> Reader:
    """Return who reads what is texted to `participant`; names may be empty, `former` is who was replaced."""
    return Reader(
        language=participant.language or chat.platform.language,
        side=participant.position,
        values=_list_values(chat) | {"name": participant.name, "counterpart": counterpart, "former": former},
    )


def write(*, kind: TemplateKind, reader: Reader, platform: Platform, templates: Iterable[Template]) -> str:
    """Return what the reader is told; "" when neither the platform nor the service says anything of the kind.

    A field whose value is not known is said as in messaging.wording, or left out.
    """
    wordings, language = choose_wordings(
        kind=kind, language=reader.language, side=reader.side, platform=platform, templates=templates
    )
    return _say(wordings, language, reader)


def write_introduction(*, reader: Reader, platform: Platform, templates: Collection[Template], asks: bool) -> str:
    """Return the first text of a chat, which asks for YES if it is to.

    For that the platform has templates of a kind of their own; where it has none, its introduction is followed by the
    question, unless that asks by itself.
    """
    if not asks:
        return write(kind=TemplateKind.INTRODUCTION, reader=reader, platform=platform, templates=templates)
    asking, introduction = (
        _find_own(kind=kind, language=reader.language, side=reader.side, platform=platform, templates=templates)
        for kind in (TemplateKind.CONSENT_REQUEST, TemplateKind.INTRODUCTION)
    )
    if asking or not introduction:
        return write(kind=TemplateKind.CONSENT_REQUEST, reader=reader, platform=platform, templates=templates)
    text, language = introduction
    said = _say((text,), language, reader)
    if asks_for_yes(text):
        return said
    return f"{said} {ASK_AS_WELL.get(language.partition('-')[0], ASK_AS_WELL[ENGLISH])}"


def _say(wordings: Sequence[str], language: str, reader: Reader) -> str:
    values = {**reader.values, "found": name_found(reader.found, language)} if reader.found else reader.values
    for wording in wordings:
        if all(values.get(name) for name in find_fields(wording)):
            return fill_in(wording, values)
    if not wordings:
        return ""
    known = {name: value for name, value in values.items() if value}
    return fill_in(wordings[-1], {**NAMELESS.get(language.partition("-")[0], {}), **known})


def choose_wordings(
    *, kind: TemplateKind, language: str, side: int | None, platform: Platform, templates: Iterable[Template]
) -> tuple[Sequence[str], str]:
    """Return the wordings for a reader, the first whose fields are known to be said, and their language.

    The platform's own for the language and side, for the language, and for its default language; then the service's
    for the language, and in English. `Platform.introduction` is one in the default language, for both sides.
    """
    if own := _find_own(kind=kind, language=language, side=side, platform=platform, templates=templates):
        text, understood = own
        return (text,), understood
    return _find_built_in(kind, language)


def _find_own(
    *, kind: TemplateKind, language: str, side: int | None, platform: Platform, templates: Iterable[Template]
) -> tuple[str, str] | None:
    own = {(template.language, template.side): template.text for template in templates if template.kind == kind}
    if kind is TemplateKind.INTRODUCTION and platform.introduction:
        own.setdefault((platform.language, None), platform.introduction)
    for understood in [*list_languages(language), *list_languages(platform.language)]:
        if text := own.get((understood, side)) or own.get((understood, None)):
            return text, understood
    return None


def _find_built_in(kind: TemplateKind, language: str) -> tuple[Sequence[str], str]:
    if kind is TemplateKind.STRANGER and settings.STRANGER_REPLY:
        return (settings.STRANGER_REPLY,), ENGLISH
    for understood in [*list_languages(language), ENGLISH]:
        if understood in BUILT_IN:
            return BUILT_IN[understood][kind], understood
    raise AssertionError("There is an English wording of everything.")


def queue_automatic_text(
    *, kind: TemplateKind, recipient: Recipient, once_key: str, found: Sequence[str] = ()
) -> UUID | None:
    """Queue an answer of the service to somebody in a chat, or who was in it; None when `once_key` was used already.

    `found` is what gave them away in what they texted.
    """
    body = write_to(participant_id=recipient.id, chat_id=recipient.chat_id, kinds=[kind], found=found)[kind]
    return queue_text(kind=Message.Kind.AUTO_REPLY, recipient=recipient, body=body, once_key=once_key)


def write_to(
    *, participant_id: UUID, chat_id: UUID, kinds: Collection[TemplateKind], found: Sequence[str] = ()
) -> dict[TemplateKind, str]:
    """Return what a participant is told, by kind, with what their chat's fields hold now."""
    people = list(
        Participant.objects.filter(chat=chat_id)
        .select_related("chat__platform")
        .only("position", "language", "replaced_at", "chat__reference", "chat__platform")
    )
    reading = next(person for person in people if person.pk == participant_id)
    names = _read_names(chat_id)
    reading.chat.metadata = _read_metadata(chat_id)
    other = next((each for each in people if each.position != reading.position and not each.replaced_at), None)
    reading.name = names.get(reading.pk, "")
    reader = describe_reader(
        chat=reading.chat, participant=reading, counterpart=names.get(other.pk, "") if other else ""
    )
    reader = replace(reader, found=found)
    platform = reading.chat.platform
    templates = read_templates(platform_ids=[platform.pk], kinds=kinds).get(platform.pk, [])
    return {kind: write(kind=kind, reader=reader, platform=platform, templates=templates) for kind in kinds}


def write_to_stranger(*, kind: TemplateKind, platform: Platform | None) -> str:
    """Return what somebody is told who is in no chat, by the platform whose number it is, or by the service itself."""
    if platform is None:
        wordings, language = _find_built_in(kind, ENGLISH)
        return _say(wordings, language, Reader(language=language, side=None, values={}))
    reader = Reader(language=platform.language, side=None, values={"platform": platform.name})
    templates = read_templates(platform_ids=[platform.pk], kinds=[kind]).get(platform.pk, ())
    return write(kind=kind, reader=reader, platform=platform, templates=templates)


def _read_names(chat_id: UUID) -> dict[UUID, str]:
    try:
        return dict(Participant.objects.filter(chat=chat_id).values_list("pk", "name"))
    except InvalidToken:
        # A text whose key is missing fails, and its writer is told so without names.
        return {}


def _read_metadata(chat_id: UUID) -> dict[str, Any]:
    try:
        return Chat.objects.values_list("metadata", flat=True).get(pk=chat_id)
    except InvalidToken:
        return {}


def _list_values(chat: Chat) -> dict[str, str]:
    values = {"platform": chat.platform.name, "reference": show_value(chat.reference)}
    return values | {f"metadata.{key}": show_value(value) for key, value in chat.metadata.items()}


def show_value(value: Any) -> str:
    """Return a platform's value as it may stand in a text: one line, cut off, and nothing like a phone number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    shown = " ".join("".join(each if each.isprintable() else " " for each in str(value)).split())[:LONGEST_VALUE]
    return "" if could_be_phone_number(shown) else shown


def preview(
    *,
    kind: TemplateKind,
    text: str | None,
    language: str,
    side: int | None,
    platform: Platform,
    fields: Mapping[str, str],
) -> str:
    """Return what somebody would be told by a template `text`, or without one by what is there, with these fields."""
    templates = (
        read_templates(platform_ids=[platform.pk], kinds=[kind]).get(platform.pk, [])
        if text is None
        # As if it had been saved; it then comes before any other.
        else [Template(kind=kind, language=language, side=side, text=text)]
    )
    values = {"platform": platform.name, **{name: show_value(value) for name, value in fields.items()}}
    reader = Reader(language=language, side=side or 0, values=values)
    return write(kind=kind, reader=reader, platform=platform, templates=templates)
