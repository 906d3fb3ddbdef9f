"""Texts and examples of the documentation of templates."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

from chats.schema import conflict
from platforms.templates import TemplateKind, list_fields

LIST_TEMPLATES = """\
What the service itself texts to people: your own templates in `results`, and in `kinds` what there is to be worded,
with the service's wordings. Somebody is texted, of what there is, the first of these: yours in their language for their
side of the chat, in their language, and in your platform's language; then the service's in their language, and in
English. `es-MX` falls back to `es`. All of them are there at once: you have a thousand at most.
"""
SAVE_TEMPLATE = f"""\
Adds a template, or replaces yours of the same `kind`, `language` and `side`. In braces it may name
{", ".join(f"`{{{field}}}`" for field in list_fields(TemplateKind.REPLACEMENT))} (`{{former}}` only in a `replacement`,
where the texts about disclosures have `{{found}}`; in a mark nothing, to a `stranger` `{{platform}}` only):
`{{metadata.car}}` is the value of `car` in the chat's `metadata`, if that is a string or a number. Names that are not
known are left to general words, and other fields left out, as is any value that could be a phone number (seven digits
or more).

Refused are unknown fields, phone numbers, an introduction that does not say how to opt out (STOP), a `consent_request`
that does not say how to agree (YES) either, and what takes too many segments with long names. A `consent_request` is
the introduction where your platform asks people first; without one of yours, your introduction is followed by the
question.

Who texts a number that only you use, and is in no chat there, is told `stranger` in your platform's language, at most
once a day; without one of yours, what the operator has set, if anything. A `closing` is sent whenever one of your chats
ends that has been open, unless the request that ends it brings a text of its own.
"""
PREVIEW = """\
What somebody would be texted, and what that costs: with `text`, by a template that you have not saved yet; without it,
by what there is. Nothing is sent or saved.
"""

_TEMPLATE: dict[str, Any] = {
    "id": "0198f2c7-2a30-7d1e-8a44-5e0c9b3f7a21",
    "kind": "introduction",
    "language": "es",
    "side": None,
    "text": "Hola {name}, soy {platform}. Escriba aqui a {counterpart} ({metadata.car}). STOP para no recibir mas.",
}
SAVE_TEMPLATE_REQUEST = OpenApiExample(
    "An introduction in Spanish",
    value={key: _TEMPLATE[key] for key in ("kind", "language", "text")},
    request_only=True,
)
TEMPLATE = OpenApiExample("A template", value=_TEMPLATE, response_only=True, status_codes=["200"])
TEMPLATES = OpenApiExample(
    "One template",
    value={
        "results": [_TEMPLATE],
        "kinds": [
            {
                "kind": "chat_ended",
                "when": "texted after the end",
                "fields": list_fields(TemplateKind.CHAT_ENDED),
                "wordings": {"en": ["This chat has ended, so your text was not passed on."]},
            }
        ],
    },
    response_only=True,
    status_codes=["200"],
)
TOO_MANY_TEMPLATES = conflict(
    "There are too many", code="too_many_templates", detail="A platform has at most 1000 templates."
)
PREVIEW_REQUEST = OpenApiExample(
    "Before it is saved",
    value={
        "kind": "introduction",
        "language": "es",
        "text": _TEMPLATE["text"],
        "fields": {"name": "Sara", "counterpart": "Omar", "metadata.car": "Skoda"},
    },
    request_only=True,
)
PREVIEWED = OpenApiExample(
    "In one segment",
    value={
        "text": "Hola Sara, soy Rides. Escriba aqui a Omar (Skoda). STOP para no recibir mas.",
        "encoding": "GSM-7",
        "segments": 1,
        "characters_left": 84,
        "costly_characters": "",
    },
    response_only=True,
    status_codes=["200"],
)
