"""What the service itself says to people, unless their platform has templates of its own: by language and kind.

English and Spanish in plain GSM-7 characters, short enough for one segment. Of several wordings the first is said
whose fields are all known.
"""

from collections.abc import Mapping

from platforms.templates import TemplateKind

CHAT_HAS_ENDED = "This chat has ended, so your text was not passed on."
CHAT_HAS_NOT_STARTED = "This chat has not started yet, so your text was not passed on."
NO_LONGER_IN_CHAT = "You are no longer part of this chat, so your text was not passed on."
NOT_DELIVERED = "A text of yours could not be delivered to the other person. Please try again later."
NOT_APPROVED = "Your text was not passed on: the service that connects you does not allow it."
NOT_CHECKED = "Your text could not be checked, so it was not passed on. Please try again later."

# By InboundText.undeliverable.
NOT_PASSED_ON = {
    "media": "Your message was of a kind that cannot be passed on here. Please send it as a text.",
    "empty": "Your text was empty, so it was not passed on.",
    "binary": "Your message was not a text, so it was not passed on.",
    "too_long": "Your text was too long to be passed on. Please send it in parts.",
}

# What stands in a text for attachments that do not go with it, by Attachment.Kind.
WITHHELD = {
    "vcard": "[A contact card was withheld to protect privacy.]",
    "file": "[A file was withheld to protect privacy.]",
}
MISSING = {
    "image": "[A picture could not be passed on.]",
    "audio": "[An audio recording could not be passed on.]",
    "video": "[A video could not be passed on.]",
    "vcard": "[A contact card could not be passed on.]",
    "file": "[A file could not be passed on.]",
}

YOURS_WAS_WITHHELD = (
    "Your contact card or file was not passed on, because it could show who you are. Please write what is needed."
)
YOURS_IS_MISSING = "What you attached could not be passed on. Please send it again, or as a text."


def _introduce(greeting: str, you: str, other: str, rest: str) -> tuple[str, ...]:
    return (
        f"{greeting} {{name}}, {you[0].lower()}{you[1:]} {{counterpart}} {rest}",
        f"{greeting} {{name}}, {you[0].lower()}{you[1:]} {other} {rest}",
        f"{you} {{counterpart}} {rest}",
        f"{you} {other} {rest}",
    )


_ENGLISH: Mapping[TemplateKind, tuple[str, ...]] = {
    TemplateKind.INTRODUCTION: _introduce(
        "Hi",
        "You can now text with",
        "the other person",
        "here: reply to this message and it is passed on. Your phone number stays private. Reply STOP to opt out.",
    ),
    TemplateKind.CLOSING: (),
    TemplateKind.REPLACEMENT: (
        "You are now texting with {counterpart} instead of {former}. Texts you send here go to them.",
        "You are now texting with {counterpart}. Texts you send here go to them.",
        "You are now texting with somebody else instead of {former}. Texts you send here go to them.",
        "You are now texting with somebody else. Texts you send here go to them.",
    ),
    TemplateKind.NEW_PHONE: (
        "{counterpart} has changed phones. You can go on texting here.",
        "The other person has changed phones. You can go on texting here.",
    ),
    TemplateKind.CHAT_ENDED: (CHAT_HAS_ENDED,),
    TemplateKind.CHAT_NOT_STARTED: (CHAT_HAS_NOT_STARTED,),
    TemplateKind.NO_LONGER_IN_CHAT: (NO_LONGER_IN_CHAT,),
    TemplateKind.NOT_DELIVERED: (NOT_DELIVERED,),
    TemplateKind.ATTACHMENT_WITHHELD: (YOURS_WAS_WITHHELD,),
    TemplateKind.ATTACHMENT_MISSING: (YOURS_IS_MISSING,),
    **{TemplateKind(f"cannot_pass_on_{why}"): (text,) for why, text in NOT_PASSED_ON.items()},
    **{TemplateKind(f"withheld_{kind}"): (mark,) for kind, mark in WITHHELD.items()},
    **{TemplateKind(f"missing_{kind}"): (mark,) for kind, mark in MISSING.items()},
}
# Without accents, as is usual in texts: GSM-7 has only é of them, and a single ó makes a text cost twice as much.
_SPANISH: Mapping[TemplateKind, tuple[str, ...]] = {
    TemplateKind.INTRODUCTION: _introduce(
        "Hola",
        "Ya puede escribirse con",
        "la otra persona",
        "por aqui: responda y se le reenvia. Su telefono queda en privado. Responda STOP para no recibir mas.",
    ),
    TemplateKind.CLOSING: (),
    TemplateKind.REPLACEMENT: (
        "Ahora escribe a {counterpart} en lugar de {former}. Lo que escriba por aqui le llega.",
        "Ahora escribe a {counterpart}. Lo que escriba por aqui le llega.",
        "Ahora escribe a otra persona en lugar de {former}. Lo que escriba por aqui le llega.",
        "Ahora escribe a otra persona. Lo que escriba por aqui le llega.",
    ),
    TemplateKind.NEW_PHONE: (
        "{counterpart} ha cambiado de telefono. Puede seguir escribiendo por aqui.",
        "La otra persona ha cambiado de telefono. Puede seguir escribiendo por aqui.",
    ),
    TemplateKind.CHAT_ENDED: ("Este chat ha terminado, por lo que su mensaje no se ha reenviado.",),
    TemplateKind.CHAT_NOT_STARTED: ("Este chat no ha empezado, por lo que su mensaje no se ha reenviado.",),
    TemplateKind.NO_LONGER_IN_CHAT: ("Ya no forma parte de este chat, por lo que su mensaje no se ha reenviado.",),
    TemplateKind.NOT_DELIVERED: ("Un mensaje suyo no ha llegado a la otra persona. Por favor, pruebe de nuevo luego.",),
    TemplateKind.CANNOT_PASS_ON_MEDIA: ("Su mensaje es de un tipo que no se puede reenviar. Por favor, mande texto.",),
    TemplateKind.CANNOT_PASS_ON_EMPTY: ("Su mensaje no llevaba texto, por lo que no se ha reenviado.",),
    TemplateKind.CANNOT_PASS_ON_BINARY: ("Su mensaje no era de texto, por lo que no se ha reenviado.",),
    TemplateKind.CANNOT_PASS_ON_TOO_LONG: ("Su mensaje era demasiado largo. Por favor, mandelo por partes.",),
    TemplateKind.ATTACHMENT_WITHHELD: (
        "Su contacto o archivo no se ha reenviado, porque puede mostrar su identidad. Por favor, escriba lo necesario.",
    ),
    TemplateKind.ATTACHMENT_MISSING: ("Lo que adjuntaba no se ha podido reenviar. Por favor, mandelo de nuevo.",),
    TemplateKind.WITHHELD_VCARD: ("[Se ha retenido un contacto por privacidad.]",),
    TemplateKind.WITHHELD_FILE: ("[Se ha retenido un archivo por privacidad.]",),
    TemplateKind.MISSING_IMAGE: ("[Una imagen no se ha podido reenviar.]",),
    TemplateKind.MISSING_AUDIO: ("[Un audio no se ha podido reenviar.]",),
    TemplateKind.MISSING_VIDEO: ("[Un video no se ha podido reenviar.]",),
    TemplateKind.MISSING_VCARD: ("[Un contacto no se ha podido reenviar.]",),
    TemplateKind.MISSING_FILE: ("[Un archivo no se ha podido reenviar.]",),
}
ENGLISH = "en"
BUILT_IN = {ENGLISH: _ENGLISH, "es": _SPANISH}
# What a platform's own templates say for a field that is not known; in other languages, nothing.
NAMELESS = {
    ENGLISH: {"name": "there", "counterpart": "the other person", "former": "the other person"},
    "es": {"name": "usuario", "counterpart": "la otra persona", "former": "la otra persona"},
}


def name_missing_parts(first: int, last: int, total: int) -> str:
    """Return what stands in a long text for the parts of it that did not come; it is part of what was received."""
    if first == last:
        return f"[part {first} of {total} is missing]"
    return f"[parts {first} to {last} of {total} are missing]"
