"""What the service itself says to people, unless their platform has templates of its own: by language and kind.

English and Spanish in plain GSM-7 characters, short enough for one segment. Of several wordings the first is said
whose fields are all known.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

from platforms.templates import TemplateKind, fill_in, find_fields

CHAT_HAS_ENDED = "This chat has ended, so your text was not passed on."
CHAT_HAS_NOT_STARTED = "This chat has not started yet, so your text was not passed on."
NO_LONGER_IN_CHAT = "You are no longer part of this chat, so your text was not passed on."
NOT_DELIVERED = "A text of yours could not be delivered to the other person. Please try again later."
COUNTERPART_OPTED_OUT = "The other person gets no texts here any more, so yours are not passed on."
COUNTERPART_OPTED_IN = "The other person gets texts here again."
WAITS_FOR_CONSENT = "The other person has not agreed to get texts here yet. Yours will be passed on when they do."
NOT_APPROVED = "Your text was not passed on: the service that connects you does not allow it."
NOT_CHECKED = "Your text could not be checked, so it was not passed on. Please try again later."

# Answers to STOP, START, YES and HELP, which say whose they are, also to somebody who is in no platform's chat.
# https://www.ctia.org/the-wireless-industry/industry-commitments/messaging-interoperability-sms-mms
OPTED_OUT = "{platform}: you have opted out and get no more texts from this number. Reply START to get them again."
OPTED_OUT_OF_PLATFORM = "{platform}: you have opted out and get no more texts from us. Reply START to get them again."
OPTED_IN = "{platform}: you get texts here again. Reply HELP for help, STOP to opt out."
CONSENTED = "{platform}: thank you, texts reach you here now. Reply HELP for help, STOP to opt out."
HELP = (
    "{platform}: texts to this number are passed on to the person you have a chat with, without your phone number. "
    "Reply STOP to opt out, START to opt in again."
)
NO_PLATFORM = "Masked texting"

# By InboundText.undeliverable.
NOT_PASSED_ON = {
    "media": "Your message was of a kind that cannot be passed on here. Please send it as a text.",
    "empty": "Your text was empty, so it was not passed on.",
    "binary": "Your message was not a text, so it was not passed on.",
    "too_long": "Your text was too long to be passed on. Please send it in parts.",
}

# By the error code of a text that could have been passed on (messaging.pace, chats.lookup).
STOPPED = {
    "too_many": "You have sent very many texts in a short time, so this one was not passed on. Please wait a minute.",
    "too_many_a_day": "You have sent very many texts today, so this one was not passed on. Please try again tomorrow.",
    "repeated": "You have sent the same text again and again, so it is not passed on any more.",
    "loop": "Your texts seem to be automatic answers, so they are not passed on. Please wait a moment and write again.",
    "recipient_blocked": "Your text was not passed on: the other person cannot be reached here any more.",
}
DISCLOSURE_REMOVED = "To protect privacy, your text was passed on without {found} that was in it."
DISCLOSURE_BLOCKED = "To protect privacy, your text was not passed on: there is {found} in it. Please leave that out."
REPORTED = (
    "Thank you for your report. The other person's texts do not reach you any more. The operator of this service "
    "looks into it."
)
# By messaging.disclosure.Kind: what stands in a text instead.
REMOVED = {
    "phone": "[phone number removed]",
    "email": "[e-mail address removed]",
    "link": "[link removed]",
    "handle": "[account removed]",
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


def _ask(greeting: str, other: str, rest: str) -> tuple[str, ...]:
    return (
        f"{greeting} {{name}}, {{counterpart}} {rest}",
        f"{greeting} {{name}}, {other} {rest}",
        f"{greeting}, {{counterpart}} {rest}",
        f"{greeting}, {other} {rest}",
    )


def _sign(wording: str, otherwise: str) -> tuple[str, ...]:
    return (wording, fill_in(wording, {"platform": otherwise}))


_ENGLISH: Mapping[TemplateKind, tuple[str, ...]] = {
    TemplateKind.INTRODUCTION: _introduce(
        "Hi",
        "You can now text with",
        "the other person",
        "here: reply to this message and it is passed on. Your phone number stays private. Reply STOP to opt out.",
    ),
    TemplateKind.CONSENT_REQUEST: _ask(
        "Hi",
        "the other person",
        "would like to text with you here. Your phone number stays private. Reply YES to agree, STOP to opt out.",
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
    TemplateKind.COUNTERPART_OPTED_OUT: (COUNTERPART_OPTED_OUT,),
    TemplateKind.COUNTERPART_OPTED_IN: (COUNTERPART_OPTED_IN,),
    TemplateKind.WAITS_FOR_CONSENT: (WAITS_FOR_CONSENT,),
    TemplateKind.OPTED_OUT: _sign(OPTED_OUT, NO_PLATFORM),
    TemplateKind.OPTED_OUT_OF_PLATFORM: _sign(OPTED_OUT_OF_PLATFORM, NO_PLATFORM),
    TemplateKind.OPTED_IN: _sign(OPTED_IN, NO_PLATFORM),
    TemplateKind.CONSENTED: _sign(CONSENTED, NO_PLATFORM),
    TemplateKind.HELP: _sign(HELP, NO_PLATFORM),
    TemplateKind.DISCLOSURE_REMOVED: (
        DISCLOSURE_REMOVED,
        "To protect privacy, your text was passed on without what could give you away.",
    ),
    TemplateKind.DISCLOSURE_BLOCKED: (
        DISCLOSURE_BLOCKED,
        "To protect privacy, your text was not passed on: something in it could give you away. Please leave that out.",
    ),
    **{TemplateKind(f"stopped_{why}"): (text,) for why, text in STOPPED.items()},
    TemplateKind.REPORTED: (REPORTED,),
    TemplateKind.NOT_APPROVED: (NOT_APPROVED,),
    TemplateKind.NOT_CHECKED: (NOT_CHECKED,),
    # What the operator says to them, in STRANGER_REPLY: messaging.writing.
    TemplateKind.STRANGER: (),
    TemplateKind.ATTACHMENT_WITHHELD: (YOURS_WAS_WITHHELD,),
    TemplateKind.ATTACHMENT_MISSING: (YOURS_IS_MISSING,),
    **{TemplateKind(f"cannot_pass_on_{why}"): (text,) for why, text in NOT_PASSED_ON.items()},
    **{TemplateKind(f"withheld_{kind}"): (mark,) for kind, mark in WITHHELD.items()},
    **{TemplateKind(f"missing_{kind}"): (mark,) for kind, mark in MISSING.items()},
    **{TemplateKind(f"removed_{kind}"): (mark,) for kind, mark in REMOVED.items()},
}
_NO_PLATFORM_IN_SPANISH = "Mensajes privados"
# Without accents, as is usual in texts: GSM-7 has only é of them, and a single ó makes a text cost twice as much.
_SPANISH: Mapping[TemplateKind, tuple[str, ...]] = {
    TemplateKind.INTRODUCTION: _introduce(
        "Hola",
        "Ya puede escribirse con",
        "la otra persona",
        "por aqui: responda y se le reenvia. Su telefono queda en privado. Responda STOP para no recibir mas.",
    ),
    TemplateKind.CONSENT_REQUEST: _ask(
        "Hola",
        "la otra persona",
        "quiere escribirle por aqui. Su telefono queda en privado. Responda YES para aceptar, STOP para no recibir "
        "nada.",
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
    TemplateKind.COUNTERPART_OPTED_OUT: (
        "La otra persona ya no recibe mensajes por aqui, por lo que los suyos no se reenvian.",
    ),
    TemplateKind.COUNTERPART_OPTED_IN: ("La otra persona recibe de nuevo mensajes por aqui.",),
    TemplateKind.WAITS_FOR_CONSENT: (
        "La otra persona no ha aceptado aun recibir mensajes por aqui. Los suyos se reenviaran cuando acepte.",
    ),
    TemplateKind.OPTED_OUT: _sign(
        "{platform}: se ha dado de baja y no recibe mas mensajes de este numero. Responda START para recibirlos.",
        _NO_PLATFORM_IN_SPANISH,
    ),
    TemplateKind.OPTED_OUT_OF_PLATFORM: _sign(
        "{platform}: se ha dado de baja y no recibe mas mensajes nuestros. Responda START para recibirlos.",
        _NO_PLATFORM_IN_SPANISH,
    ),
    TemplateKind.OPTED_IN: _sign(
        "{platform}: recibe de nuevo mensajes por aqui. Responda HELP para ayuda, STOP para la baja.",
        _NO_PLATFORM_IN_SPANISH,
    ),
    TemplateKind.CONSENTED: _sign(
        "{platform}: gracias, ya recibe mensajes por aqui. Responda HELP para ayuda, STOP para la baja.",
        _NO_PLATFORM_IN_SPANISH,
    ),
    TemplateKind.HELP: _sign(
        "{platform}: lo que escribe a este numero se reenvia a la persona de su chat, sin su telefono. "
        "Responda STOP para la baja, START para el alta.",
        _NO_PLATFORM_IN_SPANISH,
    ),
    TemplateKind.CANNOT_PASS_ON_MEDIA: ("Su mensaje es de un tipo que no se puede reenviar. Por favor, mande texto.",),
    TemplateKind.CANNOT_PASS_ON_EMPTY: ("Su mensaje no llevaba texto, por lo que no se ha reenviado.",),
    TemplateKind.CANNOT_PASS_ON_BINARY: ("Su mensaje no era de texto, por lo que no se ha reenviado.",),
    TemplateKind.CANNOT_PASS_ON_TOO_LONG: ("Su mensaje era demasiado largo. Por favor, mandelo por partes.",),
    TemplateKind.DISCLOSURE_REMOVED: (
        "Por privacidad, su mensaje se ha reenviado sin {found} que llevaba.",
        "Por privacidad, su mensaje se ha reenviado sin lo que puede mostrar su identidad.",
    ),
    TemplateKind.DISCLOSURE_BLOCKED: (
        "Por privacidad, su mensaje no se ha reenviado: lleva {found}. Por favor, escriba sin eso.",
        "Por privacidad, su mensaje no se ha reenviado: lleva algo que puede mostrar su identidad.",
    ),
    TemplateKind.STOPPED_TOO_MANY: (
        "Ha mandado muchos mensajes en poco tiempo: este no se ha reenviado. Por favor, espere un minuto.",
    ),
    TemplateKind.STOPPED_TOO_MANY_A_DAY: (
        "Ha mandado muchos mensajes hoy: este no se ha reenviado. Por favor, pruebe de nuevo manana.",
    ),
    TemplateKind.STOPPED_REPEATED: ("Ha mandado lo mismo una y otra vez, por lo que ya no se reenvia.",),
    TemplateKind.STOPPED_LOOP: (
        "Sus mensajes parecen respuestas automaticas y no se reenvian. Por favor, espere un poco y escriba de nuevo.",
    ),
    TemplateKind.STOPPED_RECIPIENT_BLOCKED: (
        "Su mensaje no se ha reenviado: ya no se puede hablar por aqui con la otra persona.",
    ),
    TemplateKind.REPORTED: (
        "Gracias por avisar. Los mensajes de la otra persona ya no le llegan. El operador del servicio lo revisara.",
    ),
    TemplateKind.NOT_APPROVED: ("Su mensaje no se ha reenviado: el servicio que les pone en contacto no lo permite.",),
    TemplateKind.NOT_CHECKED: (
        "Su mensaje no se ha podido revisar, por lo que no se ha reenviado. Por favor, pruebe de nuevo luego.",
    ),
    TemplateKind.STRANGER: (),
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
    TemplateKind.REMOVED_PHONE: ("[telefono quitado]",),
    TemplateKind.REMOVED_EMAIL: ("[correo electronico quitado]",),
    TemplateKind.REMOVED_LINK: ("[enlace quitado]",),
    TemplateKind.REMOVED_HANDLE: ("[cuenta quitada]",),
}
ENGLISH = "en"
BUILT_IN = {ENGLISH: _ENGLISH, "es": _SPANISH}
# What a platform's own templates say for a field that is not known; in other languages, nothing.
NAMELESS = {
    ENGLISH: {"name": "there", "counterpart": "the other person", "former": "the other person"},
    "es": {"name": "usuario", "counterpart": "la otra persona", "former": "la otra persona"},
}
# What follows an introduction of a platform's that does not ask for YES, where people are asked; else in English.
ASK_AS_WELL = {ENGLISH: "Reply YES to agree.", "es": "Responda YES para aceptar."}


_AND = {ENGLISH: " and ", "es": " y "}
_FOUND = {
    ENGLISH: {
        "phone": "a phone number",
        "email": "an e-mail address",
        "link": "a link",
        "handle": "a messenger account",
    },
    "es": {
        "phone": "un telefono",
        "email": "un correo electronico",
        "link": "un enlace",
        "handle": "una cuenta de mensajeria",
    },
}


def name_found(kinds: Iterable[str], language: str) -> str:
    """Return in words what gives somebody away, by messaging.disclosure.Kind; in English where there are no others."""
    language = language.partition("-")[0]
    if language not in _FOUND:
        language = ENGLISH
    return _AND[language].join(_FOUND[language][kind] for kind in kinds)


def name_missing_parts(first: int, last: int, total: int) -> str:
    """Return what stands in a long text for the parts of it that did not come; it is part of what was received."""
    if first == last:
        return f"[part {first} of {total} is missing]"
    return f"[parts {first} to {last} of {total} are missing]"


def _list_ours() -> Iterable[str]:
    """Return all that the service says by itself, but for names and marks."""
    for language, wordings in BUILT_IN.items():
        for kind, texts in wordings.items():
            for text in () if kind.is_mark else texts:
                if "{found}" in text:
                    for size in range(1, len(_FOUND[language]) + 1):
                        for kinds in combinations(sorted(_FOUND[language]), size):
                            yield fill_in(text, {"found": name_found(kinds, language)})
                elif not find_fields(text):
                    yield text


# When one of these comes back, a machine has sent it.
OURS = frozenset(_list_ours())
