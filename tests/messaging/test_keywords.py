"""Which whole texts are for us, and which sentences are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import keywords
from messaging.keywords import Keyword, read_keyword

STOP = """
stopall|STOPALL|stop all|STOP ALL|unsubscribe|Unsubscribe|UNSUBSCRIBE|unsub|quit|QUIT|Quit.|revoke|REVOKE
optout|OPTOUT|opt out|Opt-out|OPT-OUT|opt_out|stop.|stop!|STOP!!!|"STOP"|'stop'|“STOP”|«stop»|(stop)|[STOP]
*STOP*|_stop_| stop | STOP  |\tstop\t|stop\n|\n\nSTOP|stop 🛑|🛑 STOP|STOP🙏🏽|STOP ❤️|ＳＴＯＰ|ｓｔｏｐ|𝐒𝐓𝐎𝐏|Ⓢⓣⓞⓟ
S.T.O.P.|s t o p|S-T-O-P|STOP STOP|stop stop stop|stop, stop!|stóp|STÖP|st​op|stop…|stop;|>stop<|…stop|stop :)
stop / stop|alto|ALTO|¡ALTO!|Alto.|parar|PARAR|baja|BAJA|darse de baja|Darme de baja|detener|desuscribir|arret
ARRET|arrêt|ARRÊT|Arrêt !|arrete|arrête|ARRÊTE|arrêter|arrett|désabonner|désabonnement|désinscrire|Stop SMS
stopp|STOPP|Stopp!|abmelden|Abmelden.|abbestellen|austragen|pare|PARE|sair|SAIR|Sair!|descadastrar
cancelar inscrição|ferma|FERMA|fermare|disiscrivi|disiscrivimi|cancellami|stoppen|Afmelden|UITSCHRIJVEN
"""
BOOKING = """
end|END|End.|cancel|CANCEL|Cancel!|"cancel"|remove|cancelar|CANCELAR|fin|Fin.|terminar|annuler|ANNULER
terminer|ende|Ende!|abbrechen|stornieren|beenden|fim|annulla|cancella|einde|annuleren|beëindigen
"""
HELP = """
help|HELP|Help!|help?|info|INFO|Info?|ayuda|¡Ayuda!|información|INFORMACION|aide|AIDE|Aide !|infos|hilfe|HILFE
ajuda|informação|aiuto|informazioni|hulp|help help|🆘 help
"""
START = """
start|START|Start.|unstop|UNSTOP|optin|opt in|Opt-In|subscribe|resubscribe|inicio|iniciar|empezar|alta
reanudar|commencer|démarrer|reprendre|starten|anmelden|começar|retomar|inizia|riprendi|aanmelden|hervatten
"""
YES = "yes|YES|Yes!|yes 👍|y|Y|si|sí|Sí.|¡SÍ!|sì|oui|OUI|ja|Ja!|sim|SIM|yes yes"
REPORT = "report|REPORT|Report!|reportar|denunciar|signaler|melden|segnala|segnalare|rapporteren"
NOBODY = """
please stop at the corner|stop by at 5|stop please|please stop|Stop here|stop at 24th|don't stop|stop it
stop 5|bus stop|nonstop|stops|stopped|stopping|unstoppable|stop and go|can you stop?|STOP sign on the left
I quit|quit smoking|the end|end of the street|at the end|in the end|cancel it|cancel my booking|please cancel
cancelled|cancellation|help me|I need help|can you help|help with bags|infos about|more info|info please
start at 5|start now|let's start|yes please|yes I am|oh yes|yes, at 5|yesterday|no|ok|si claro|sí, a las 5
oui merci|ja bitte|ja klar|sim senhor|el alto|más alto|baja al portal|ya baja|para aquí|arrête-toi là
l'arrêt de bus|arrêt de bus|Stopp an der Ecke|ich melde mich|am Ende|fin de semana|fino|alta velocidad
reporter|report to the desk|I will report it|subscribe to it|stop at 5 dot|STOP1|1|…|?|!!!|🛑|👍|""|()|_|-|s t
a b c|stopwatch|start-up now|opt|out|all|unsubscribe me from this house
"""


def cases(table: str) -> list[str]:
    return [case for line in table.strip("\n").split("\n") for case in line.replace("\\t", "\t").split("|") if case]


@pytest.mark.parametrize("text", ["stop", "STOP", "Stop", "sToP", *cases(STOP), "stop\n", "\n\nSTOP\r\n"])
def test_a_text_that_is_only_stop_opts_out(text: str) -> None:
    assert read_keyword(text, booking_words=False) is Keyword.STOP


@pytest.mark.parametrize("text", cases(BOOKING))
def test_words_about_a_booking_opt_out_only_where_a_platform_says_so(text: str) -> None:
    assert read_keyword(text, booking_words=True) is Keyword.STOP
    assert read_keyword(text, booking_words=False) is None


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        (text, keyword)
        for table, keyword in (
            (HELP, Keyword.HELP),
            (START, Keyword.START),
            (YES, Keyword.YES),
            (REPORT, Keyword.REPORT),
        )
        for text in cases(table)
    ],
)
def test_other_keywords_are_read(text: str, keyword: Keyword) -> None:
    assert read_keyword(text, booking_words=False) is keyword
    assert read_keyword(text, booking_words=True) is keyword


@pytest.mark.parametrize("text", ["", " ", *cases(NOBODY)])
def test_sentences_are_for_the_counterpart(text: str) -> None:
    assert read_keyword(text, booking_words=True) is None


TABLES = {name: getattr(keywords, name) for name in ("_STOP", "_BOOKING", "_HELP", "_START", "_YES", "_REPORT")}
PHRASES = [(name, phrase) for name, table in TABLES.items() for words in table.values() for phrase in words.split(", ")]


def test_every_table_has_every_language() -> None:
    assert {tuple(sorted(table)) for table in TABLES.values()} == {("de", "en", "es", "fr", "it", "nl", "pt")}


def test_no_word_asks_for_two_things() -> None:
    tables_of: dict[str, set[str]] = {}
    for name, phrase in PHRASES:
        tables_of.setdefault(phrase, set()).add(name)
    assert [phrase for phrase, names in tables_of.items() if len(names) > 1] == []


WORDS = st.sampled_from(PHRASES)
TRIMMING = st.text(st.sampled_from(" \t\n.,;:!?…'\"“”«»()*-🛑🙏❤️"), max_size=4)


@given(WORDS, TRIMMING, TRIMMING, st.sampled_from([str.upper, str.lower, str.title]))
def test_trimmings_change_nothing(word: tuple[str, str], before: str, after: str, case) -> None:
    name, phrase = word
    expected = Keyword.STOP if name == "_BOOKING" else Keyword[name.removeprefix("_")]
    assert read_keyword(before + case(phrase) + after, booking_words=True) is expected


@given(WORDS, st.sampled_from(["at", "me", "the corner", "5", "por favor", "bitte", "la", "now", "no"]), st.booleans())
def test_one_more_word_makes_it_a_sentence(word: tuple[str, str], other: str, first: bool) -> None:
    text = f"{other} {word[1]}" if first else f"{word[1]} {other}"
    assert read_keyword(text, booking_words=True) is None


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert read_keyword(text, booking_words=True) in (None, *Keyword)
