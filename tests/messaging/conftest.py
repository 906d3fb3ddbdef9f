"""What the tests of texts have in common: Sara and Omar text each other through one virtual number."""

import pytest

from chats.models import Chat, Participant, VirtualNumber
from platforms.models import Platform
from tests.factories import make_chat
from tests.messaging.rows import forget_introductions


@pytest.fixture
def chat(platform: Platform, virtual_number: VirtualNumber) -> Chat:
    chat = make_chat(platform)
    forget_introductions()
    return chat


@pytest.fixture
def sara(chat: Chat) -> Participant:
    return chat.participants.get(position=1)


@pytest.fixture
def omar(chat: Chat) -> Participant:
    return chat.participants.get(position=2)


@pytest.fixture
def capable(chat: Chat) -> None:
    """The virtual number of the chat can send MMS."""
    VirtualNumber.objects.update(can_mms=True)
