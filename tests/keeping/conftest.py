"""Sara and Omar have texted each other; attachments are kept in memory."""

from tests.messaging.conftest import capable, chat, omar, sara

__all__ = ["capable", "chat", "omar", "sara"]
