"""Answer the texts that are for the service itself: STOP, START, HELP, REPORT, and YES when that was asked for."""

from datetime import datetime
from uuid import UUID

import phonenumbers
from django.conf import settings
from django.db import transaction
from phonenumbers import PhoneNumberType

from chats.countries import may_be_answered
from chats.lookup import SENDER_BLOCKED, Match, Side
from chats.models import Chat
from chats.restrictions import report_counterpart
from messaging.gateways import InboundText
from messaging.inbox import log_only
from messaging.keywords import Keyword, read_keyword
from messaging.models import Message, OptOut
from messaging.opt_outs import Person, Said, find_asked, find_opt_outs, lock_person, opt_in, opt_out, record_consent
from messaging.outbox import queue_text, queue_text_to_stranger
from messaging.reading import read
from messaging.writing import queue_automatic_text, write_to, write_to_stranger
from platforms.models import Platform
from platforms.templates import TemplateKind
from proxy_project.encryption import digest_number

# What Vonage's Opt-Out Assist acts on, and answers.
# https://developer.vonage.com/en/opt-out-assist/technical-details
_ASSIST_STOP = frozenset({"stop", "end", "quit", "cancel", "unsubscribe"})
_ASSIST = _ASSIST_STOP | {"help", "start"}


def read_request(text: InboundText, match: Match, writer: Side | None) -> Keyword | None:
    """Return what a text asks of the service; None for one that is for the counterpart, or for nobody.

    START and YES ask for something only from who has opted out, and YES also from who was asked for it; REPORT from a
    `writer` who is in a chat, or was until it ended, unless they are blocked; opting out is open to all.
    """
    if text.undeliverable or text.media or not (match.virtual_number_id and (match.sender or text.can_be_answered)):
        return None
    keyword = read_keyword(text.body, booking_words=match.cancel_words_stop)
    if keyword is None and settings.VONAGE_OPT_OUT_ASSIST and _plain(text) in _ASSIST_STOP:
        # Vonage stops texts to them, whatever the platform thinks of the word.
        return Keyword.STOP
    if keyword in (Keyword.STOP, Keyword.HELP):
        return keyword
    if keyword is Keyword.REPORT and writer and not match.was_replaced and match.restriction != SENDER_BLOCKED:
        return keyword
    if keyword in (Keyword.START, Keyword.YES):
        person = _describe(text, match)
        if find_opt_outs(person).exists():
            return Keyword.START
        if find_asked(person).exists():
            return Keyword.YES
    return None


def answer_keyword(
    keyword: Keyword, text: InboundText, match: Match, writer: Side | None, now: datetime
) -> tuple[bool, UUID | None]:
    """Log a text, do what it asks for, and confirm that: all of it is stored, or nothing.

    `writer` is None for a stranger. Returns what log_only does; without an id, nothing was done.
    """
    person = _describe(text, match)
    with transaction.atomic():
        lock_person(person.phone_digest)
        if keyword is Keyword.REPORT and writer:
            # Before the writer: two who report each other would wait for each other.
            Chat.objects.select_for_update(no_key=True).filter(pk=writer.chat_id).first()
        stands, message_id = log_only(text, match, writer, Message.Status.KEYWORD, now)
        if message_id is None:
            return stands, None
        said = Said(keyword=keyword.value, text=text.body, message_id=message_id)
        platform = Platform.objects.get(pk=person.platform_id) if person.platform_id else None
        _ANSWERS[keyword](_Asked(text, writer, person, said, platform, now))
    return stands, message_id


class _Asked:
    """A text for the service, and how to answer it."""

    def __init__(
        self,
        text: InboundText,
        writer: Side | None,
        person: Person,
        said: Said,
        platform: Platform | None,
        now: datetime,
    ) -> None:
        self.text = text
        self.writer = writer
        self.person = person
        self.said = said
        self.now = now
        self._platform = platform

    def answer(self, kind: TemplateKind, *, once_key: str | None = None) -> str:
        """Queue an answer and return what it says; empty when there is none, since the carrier gives it."""
        if _is_answered_by_carrier(self.text):
            return ""
        if self.writer:
            body = write_to(participant_id=self.writer.id, chat_id=self.writer.chat_id, kinds=[kind])[kind]
            queue_text(kind=Message.Kind.CONSENT, recipient=self.writer, body=body, once_key=once_key)
            return body
        body = write_to_stranger(kind=kind, platform=self._platform)
        if self.text.can_be_answered and may_be_answered(self.text.from_number, self.person.virtual_number_id):
            queue_text_to_stranger(
                kind=Message.Kind.CONSENT,
                virtual_number_id=self.person.virtual_number_id,
                phone_number=self.text.from_number,
                body=body,
                once_key=once_key,
            )
        return body


def _answer_stop(asked: _Asked) -> None:
    recorded = opt_out(person=asked.person, source=OptOut.Source.TEXT, said=asked.said, now=asked.now)
    if recorded is None:
        return
    is_wide = recorded.scope == Platform.OptOutScope.PLATFORM
    told = asked.answer(TemplateKind.OPTED_OUT_OF_PLATFORM if is_wide else TemplateKind.OPTED_OUT)
    OptOut.objects.filter(pk=recorded.pk).update(confirmation=told)


def _answer_start(asked: _Asked) -> None:
    if ended := opt_in(person=asked.person, said=asked.said, now=asked.now):
        told = asked.answer(TemplateKind.OPTED_IN)
        OptOut.objects.filter(pk__in=[each.pk for each in ended]).update(end_confirmation=told)


def _answer_yes(asked: _Asked) -> None:
    if record_consent(person=asked.person, said=asked.said, now=asked.now):
        asked.answer(TemplateKind.CONSENTED)


def _answer_help(asked: _Asked) -> None:
    """HELP is always answered, but not a machine that answers back."""
    who = f"{asked.person.virtual_number_id}:{asked.person.phone_digest.hex()[:32]}"
    asked.answer(TemplateKind.HELP, once_key=f"help:{who}:{asked.now:%Y-%m-%dT%H:%M}")


def _answer_report(asked: _Asked) -> None:
    """Not as an answer to STOP: to somebody who has opted out it is not sent."""
    assert asked.writer  # read_request
    report_counterpart(chat_id=asked.writer.chat_id, reporter_id=asked.writer.id, now=asked.now)
    queue_automatic_text(
        kind=TemplateKind.REPORTED,
        recipient=asked.writer,
        once_key=f"report:{asked.writer.id}:{asked.now:%Y-%m-%dT%H}",
    )


_ANSWERS = {
    Keyword.STOP: _answer_stop,
    Keyword.START: _answer_start,
    Keyword.YES: _answer_yes,
    Keyword.HELP: _answer_help,
    Keyword.REPORT: _answer_report,
}


def _is_answered_by_carrier(text: InboundText) -> bool:
    """Tell whether the carrier confirms STOP and START itself, so that our word would be a second one.

    On toll-free numbers the network does, but does not answer HELP.
    https://api.support.vonage.com/hc/en-us/articles/233429767
    """
    if settings.VONAGE_OPT_OUT_ASSIST and _plain(text) in _ASSIST:
        return True
    return _is_toll_free(text.to_number) and read_keyword(text.body, booking_words=True) is not Keyword.HELP


def _is_toll_free(e164: str) -> bool:
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.number_type(number) == PhoneNumberType.TOLL_FREE


def _plain(text: InboundText) -> str:
    return "".join(filter(str.isalpha, read(text.body).plain)) if len(text.body) <= 40 else ""


def _describe(text: InboundText, match: Match) -> Person:
    assert match.virtual_number_id  # read_request
    return Person(
        phone_digest=digest_number(text.from_number),
        virtual_number_id=match.virtual_number_id,
        platform_id=match.platform_id,
        participant_id=match.sender.id if match.sender else None,
        stranger_number="" if match.sender else text.from_number,
    )
