"""Replace a person in a chat: another driver, or the same one with a new phone."""

from datetime import datetime
from uuid import UUID

from chats.allocation import CountryMatch, Seeker
from chats.events import record_replacement
from chats.introductions import announce_replacement, queue_introductions
from chats.models import Chat, Participant
from chats.phone_numbers import PhoneNumber
from chats.services.admission import (
    ANY_NUMBER,
    NumberChoice,
    SamePerson,
    find_named_number,
    give_numbers,
    refuse_countries,
    refuse_virtual_numbers,
)
from chats.services.locking import HasEnded, Raced, decide_until_settled, find_people, lock_chat, lock_people
from chats.services.shortages import warn_of_shortage
from messaging.withdrawals import REPLACED, withdraw_texts
from proxy_project.encryption import digest_number


class AlreadyReplaced(Exception):
    """Somebody else took this person's side of the chat before."""


def replace_participant(
    *,
    chat_id: UUID,
    participant_id: UUID,
    phone_number: PhoneNumber,
    name: str | None,
    now: datetime,
    language: str | None = None,
    country_match: CountryMatch = CountryMatch.PREFER,
    time_zone: str = "",
    choice: NumberChoice = ANY_NUMBER,
) -> Chat:
    """Put `phone_number` in the place of a person, and return the chat; the other person keeps their virtual number.

    From then on nothing that the old phone texts is passed on, and no text that is queued goes to it. When the
    chat is open, the new person is introduced and the other one is told. `name` and `language` are None when they
    stay. When this was done before, for the same phone number, the chat is returned as it is.

    Raises Chat.DoesNotExist, Participant.DoesNotExist, HasEnded, AlreadyReplaced, SamePerson, PersonIsVirtualNumber,
    CountryNotAllowed, UnknownVirtualNumber, VirtualNumberTakesNoChats, and NoFreeNumber of chats.allocation,
    whose first person is the new one.
    """
    digest = digest_number(phone_number.e164)

    def decide() -> Chat:
        expected = {bytes(person.phone_digest) for person in find_people(chat_id)}
        lock_people(digest, *expected)
        chat = lock_chat(chat_id)
        leaving = Participant.objects.get(pk=participant_id, chat=chat)
        people = {person.position: person for person in find_people(chat_id)}
        if {bytes(person.phone_digest) for person in people.values()} != expected:
            raise Raced
        present, counterpart = people[leaving.position], people[3 - leaving.position]
        if leaving.replaced_at:
            if bytes(present.phone_digest) == digest:
                return chat
            raise AlreadyReplaced("Somebody else has taken this person's place already.")
        if chat.status == Chat.Status.ENDED:
            raise HasEnded("The chat has ended. Reopen it first.")
        if digest in expected:
            raise SamePerson("Somebody in this chat has this phone number already.")
        refuse_countries(chat.platform, phone_number)
        refuse_virtual_numbers(phone_number.e164)
        seeker = Seeker(
            phone_digest=digest,
            country=phone_number.country,
            country_match=country_match,
            number_id=find_named_number(platform=chat.platform, choice=choice),
        )
        kept = Seeker(
            phone_digest=bytes(counterpart.phone_digest), number_id=counterpart.virtual_number_id, keeps_number=True
        )
        given = give_numbers(chat=chat, seekers=(seeker, kept), fresh=choice.fresh, now=now)
        joining = Participant(
            chat=chat,
            position=leaving.position,
            name=leaving.name if name is None else name,
            language=leaving.language if language is None else language,
            phone_number=phone_number.e164,
            phone_digest=digest,
            virtual_number_id=given.first,
            time_zone=time_zone,
            awaits_consent=chat.platform.asks_confirmation,
        )
        _replace(chat, leaving, joining, counterpart, now)
        warn_of_shortage(chat=chat, people=(joining, counterpart), chosen=given, now=now)
        return chat

    return decide_until_settled(decide)


def _replace(chat: Chat, leaving: Participant, joining: Participant, counterpart: Participant, now: datetime) -> None:
    """Every replacement: the old phone is cut off, and what happens next is for the new one."""
    leaving.ended_at = leaving.replaced_at = now
    leaving.save(update_fields=["ended_at", "replaced_at"])
    joining.save(force_insert=True)
    chat.revision += 1
    chat.save(update_fields=["revision"])
    withdraw_texts(participant_ids=[leaving.pk], why=REPLACED)
    if chat.platform.records_events:
        record_replacement(chat=chat, leaving=leaving, joining=joining, now=now)
    if chat.status == Chat.Status.OPEN:
        announce_replacement(chat=chat, counterpart=counterpart, leaving=leaving, joining=joining)
        queue_introductions([(chat, joining, counterpart)])
