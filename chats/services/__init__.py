"""Start, change, end, reopen chats and replace people in them, and keep the virtual numbers: the only code that does.

Every transition has one place: `_start`, `_end`, `_reopen`, `_replace` and `_change_state`, each in the module of
its name. Whoever moves a chat locks its row first (`lock_chat`); docs/decisions/0017-lifecycle.md says why.
"""

from chats.services.admission import (
    ANY_NUMBER,
    CountryNotAllowed,
    NumberChoice,
    Person,
    PersonIsVirtualNumber,
    SamePerson,
    UnknownVirtualNumber,
    VirtualNumberTakesNoChats,
)
from chats.services.changing import HasStarted, change_chat
from chats.services.ending import EXPIRED, SILENT, end_chat, end_expired_chats, tell_of_ends
from chats.services.locking import HasEnded
from chats.services.numbers import (
    SLOWEST_RATE,
    CannotAddVirtualNumber,
    StatesChanged,
    VirtualNumberExists,
    VirtualNumberInUse,
    add_virtual_number,
    adding_many,
    change_number_state,
    change_number_states,
    count_chats,
    describe_virtual_number,
    find_existing,
    find_pacing,
    find_people_among,
    insert_virtual_numbers,
)
from chats.services.reopening import VirtualNumberTaken, WasErased, reopen_chat
from chats.services.replacing import AlreadyReplaced, replace_participant
from chats.services.shortages import tell_of_shortages
from chats.services.starting import ReferenceTaken, StartedChat, start_chat, start_due_chats
from chats.services.texting import (
    HasNotStarted,
    RecipientBlocked,
    RecipientNotAllowed,
    RecipientOptedOut,
    UnknownRecipient,
    send_platform_text,
)
from chats.services.times import ImpossibleTime

__all__ = [
    "ANY_NUMBER",
    "EXPIRED",
    "SILENT",
    "SLOWEST_RATE",
    "AlreadyReplaced",
    "CannotAddVirtualNumber",
    "CountryNotAllowed",
    "HasEnded",
    "HasNotStarted",
    "HasStarted",
    "ImpossibleTime",
    "NumberChoice",
    "Person",
    "PersonIsVirtualNumber",
    "RecipientBlocked",
    "RecipientNotAllowed",
    "RecipientOptedOut",
    "ReferenceTaken",
    "SamePerson",
    "StartedChat",
    "StatesChanged",
    "UnknownRecipient",
    "UnknownVirtualNumber",
    "VirtualNumberExists",
    "VirtualNumberInUse",
    "VirtualNumberTaken",
    "VirtualNumberTakesNoChats",
    "WasErased",
    "add_virtual_number",
    "adding_many",
    "change_chat",
    "change_number_state",
    "change_number_states",
    "count_chats",
    "describe_virtual_number",
    "end_chat",
    "end_expired_chats",
    "find_existing",
    "find_pacing",
    "find_people_among",
    "insert_virtual_numbers",
    "reopen_chat",
    "replace_participant",
    "send_platform_text",
    "start_chat",
    "start_due_chats",
    "tell_of_ends",
    "tell_of_shortages",
]
