"""What the services refuse, as errors of the API."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rest_framework.exceptions import APIException, ErrorDetail, NotFound, ValidationError

from chats.allocation import NoFreeNumber
from chats.countries import COUNTRY_NOT_ALLOWED
from chats.models import Participant
from chats.services import (
    AlreadyReplaced,
    CountryNotAllowed,
    HasEnded,
    HasNotStarted,
    HasStarted,
    ImpossibleTime,
    PersonIsVirtualNumber,
    RecipientBlocked,
    RecipientNotAllowed,
    RecipientOptedOut,
    ReferenceTaken,
    SamePerson,
    UnknownRecipient,
    UnknownVirtualNumber,
    VirtualNumberTaken,
    VirtualNumberTakesNoChats,
    WasErased,
)
from proxy_project.errors import Conflict

# Puts an error where the person at an index stands in the request.
Locate = Callable[[Sequence[int], ErrorDetail], Any]

_NO_NUMBER_LEFT = (
    "This person has, or had lately, a chat on every virtual number there is for them, as far as the request allows."
)


def at_participants(indexes: Sequence[int], error: ErrorDetail) -> Any:
    """Locate an error of people in a request that starts a chat."""
    errors: list[dict[str, Any]] = [{}, {}]
    for index in indexes:
        errors[index] = {"phone_number": [error]}
    return {"participants": errors}


def at_phone_number(indexes: Sequence[int], error: ErrorDetail) -> Any:
    """Locate an error in a request that has one person, whichever it is of."""
    return {"phone_number": [error]}


def nowhere(indexes: Sequence[int], error: ErrorDetail) -> Any:
    """Locate an error in a request that has no people."""
    return error


@contextmanager
def refusals(locate: Locate) -> Iterator[None]:
    """Turn what a service refuses within this block into an error of the API."""
    try:
        yield
    except Exception as error:
        explained = _explain(error, locate)
        if explained is None:
            raise
        raise explained from None


def _explain(error: Exception, locate: Locate) -> APIException | None:
    message = str(error)
    match error:
        case SamePerson():
            return ValidationError(locate([1], ErrorDetail(message, code="same_person")))
        case PersonIsVirtualNumber():
            return ValidationError(locate([error.index], ErrorDetail(message, code="virtual_number")))
        case CountryNotAllowed() if locate is nowhere:
            return Conflict(message, code=COUNTRY_NOT_ALLOWED)
        case CountryNotAllowed():
            return ValidationError(locate([error.index], ErrorDetail(message, code=COUNTRY_NOT_ALLOWED)))
        case ImpossibleTime():
            return ValidationError({error.field: [message]}, code=error.code)
        case ReferenceTaken():
            return Conflict({"reference": [message]}, code="reference_taken")
        case UnknownVirtualNumber():
            return ValidationError({"virtual_number": {"named": [message]}}, code="unknown_virtual_number")
        case VirtualNumberTakesNoChats():
            return Conflict(message, code="takes_no_chats")
        case VirtualNumberTaken():
            return Conflict(message, code="virtual_number_taken")
        case WasErased():
            return Conflict(message, code="chat_erased")
        case NoFreeNumber(people=()):
            return Conflict("There is no active virtual number to give to anybody.", code="no_free_number")
        case NoFreeNumber():
            return Conflict(locate(error.people, ErrorDetail(_NO_NUMBER_LEFT, code="no_free_number")))
        case HasStarted():
            return Conflict({"starts_at": [message]}, code="chat_started")
        case HasNotStarted():
            return Conflict(message, code="chat_not_started")
        case UnknownRecipient():
            return ValidationError({"to": [message]}, code="no_such_participant")
        case RecipientOptedOut():
            return Conflict(message, code="recipient_opted_out")
        case RecipientBlocked():
            return Conflict(message, code="recipient_blocked")
        case RecipientNotAllowed():
            return Conflict(message, code=COUNTRY_NOT_ALLOWED)
        case HasEnded():
            return Conflict(message, code="chat_ended")
        case AlreadyReplaced():
            return Conflict(message, code="already_replaced")
        case Participant.DoesNotExist():
            return NotFound("There is no such participant in this chat.")
    return None
