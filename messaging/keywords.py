"""Texts that are for us and not for the counterpart: STOP, HELP, START and their kin, when they are all of a text."""

import re
from collections.abc import Iterable
from enum import StrEnum

from messaging.reading import read


class Keyword(StrEnum):
    """What somebody asks of us with a whole text."""

    STOP = "stop"
    HELP = "help"
    START = "start"
    # An ordinary answer, except of somebody who has opted out or was asked to confirm: the caller knows.
    YES = "yes"
    REPORT = "report"


# English: the words that a reply to a text must be honoured for in the USA (47 CFR 64.1200(a)(10),
# https://www.govinfo.gov/content/pkg/FR-2024-03-05/html/2024-04587.htm; END and CANCEL are among them), the universal
# ones of CTIA (https://usshortcodedirectory.com/ctia-short-code-monitoring-handbook/), Twilio's defaults
# (https://support.twilio.com/hc/en-us/articles/223134027), AWS's
# (https://docs.aws.amazon.com/sms-voice/latest/userguide/opt-out-list-keywords.html), and Vonage's Opt-Out Assist:
# stop, end, quit, cancel, unsubscribe, help, start. French: Twilio's ARRET, ARRETE, ARRETT, and AIDE, which Canada
# requires. The other languages: what the same words are called there. All in lower case and without accents.
_STOP = {
    "en": "stop, stopall, stop all, unsubscribe, quit, revoke, optout, opt out, unsub",
    "es": "alto, parar, baja, darse de baja, darme de baja, desuscribir, detener",
    "fr": "arret, arrete, arreter, arrett, desabonner, desabonnement, desinscrire, stop sms",
    "de": "stopp, abmelden, abbestellen, austragen",
    "pt": "parar, pare, sair, descadastrar, cancelar inscricao",
    "it": "ferma, fermare, disiscrivi, disiscrivimi, disiscrivere, cancellami",
    "nl": "stoppen, afmelden, uitschrijven",
}
# Opt-outs by the same lists, and ordinary words about a booking: "cancel" may be meant for the driver.
_BOOKING = {
    "en": "end, cancel, remove",
    "es": "cancelar, fin, terminar",
    "fr": "annuler, fin, terminer",
    "de": "ende, abbrechen, stornieren, beenden",
    "pt": "cancelar, fim, terminar",
    "it": "annulla, annullare, cancella",
    "nl": "einde, annuleren, beeindigen",
}
_HELP = {
    "en": "help, info",
    "es": "ayuda, informacion",
    "fr": "aide, infos",
    "de": "hilfe, infos",
    "pt": "ajuda, informacao, informacoes",
    "it": "aiuto, informazioni",
    "nl": "hulp",
}
_START = {
    "en": "start, unstop, optin, opt in, subscribe, resubscribe",
    "es": "inicio, iniciar, empezar, alta, reanudar",
    "fr": "commencer, demarrer, reprendre, reabonner",
    "de": "starten, anmelden",
    "pt": "iniciar, comecar, retomar",
    "it": "inizia, iniziare, riprendi, iscrivimi",
    "nl": "starten, aanmelden, hervatten",
}
_YES = {"en": "yes, y", "es": "si", "fr": "oui", "de": "ja", "pt": "sim", "it": "si", "nl": "ja"}
_REPORT = {
    "en": "report",
    "es": "reportar, denunciar",
    "fr": "signaler",
    "de": "melden",
    "pt": "denunciar",
    "it": "segnala, segnalare",
    "nl": "melden, rapporteren",
}

_LONGEST_TEXT = 40
_WORD = re.compile(r"[^\W_]+")


def list_stop_words(*, booking_words: bool) -> dict[str, list[str]]:
    """Return the words that opt out, by language (BCP 47); with `booking_words`, those about a booking as well."""
    return {
        language: [*words.split(", "), *(_BOOKING[language].split(", ") if booking_words else [])]
        for language, words in _STOP.items()
    }


def read_keyword(text: str, *, booking_words: bool) -> Keyword | None:
    """Return what a text asks of us, or None for a text that is for the counterpart.

    Case, accents, punctuation, quotes and emoji do not matter, and the same word may stand there more than once; any
    other word makes it a sentence. With `booking_words`, CANCEL and END stop as well.
    """
    if len(text) > _LONGEST_TEXT:
        return None
    words = _WORD.findall(read(text).plain)
    if len(words) > 1 and len(set(words)) == 1:
        words = words[:1]  # STOP STOP STOP
    elif len(words) > 2 and all(len(word) == 1 for word in words):
        words = ["".join(words)]  # S.T.O.P.
    phrase = " ".join(words)
    keyword = _KEYWORDS.get(phrase)
    if keyword is None and booking_words and phrase in _BOOKING_PHRASES:
        return Keyword.STOP
    return keyword


def _split(table: dict[str, str]) -> Iterable[str]:
    return (phrase for phrases in table.values() for phrase in phrases.split(", "))


_BOOKING_PHRASES = frozenset(_split(_BOOKING))
_KEYWORDS = {
    phrase: keyword
    for keyword, table in (
        (Keyword.STOP, _STOP),
        (Keyword.HELP, _HELP),
        (Keyword.START, _START),
        (Keyword.YES, _YES),
        (Keyword.REPORT, _REPORT),
    )
    for phrase in _split(table)
}
