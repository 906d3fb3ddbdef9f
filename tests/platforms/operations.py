"""Every operation that the OpenAPI document knows, so that tests try those that are added later too."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from chats.services import send_platform_text
from platforms.models import ApprovalHook, Event, Platform, Template, WebhookEndpoint
from tests.factories import make_chat, make_virtual_number

SCHEMA: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
# How to make what a path names, by the name it has in the path: it belongs to `platform`, and what is named
# together in one path belongs together.
RECIPES: dict[str, Callable[["World"], Any]] = {
    "chat_id": lambda world: world.chat.pk,
    "participant_id": lambda world: world.participant.pk,
    "message_id": lambda world: world.scheduled_text.pk,
    "template_id": lambda world: world.template.pk,
    "endpoint_id": lambda world: world.endpoint.pk,
    "event_id": lambda world: world.event.pk,
}


class World:
    """One of everything that a platform can own."""

    def __init__(self, platform: Platform, people: tuple[str, str], number: str) -> None:
        self.platform = platform
        make_virtual_number(number, platform=platform)
        self.endpoint = WebhookEndpoint.objects.create(platform=platform, url="https://example.com/e", secret="x")
        ApprovalHook.objects.create(platform=platform, url="https://example.com/a", secret="x", default="relay")
        self.template = Template.objects.create(
            platform=platform, kind="chat_ended", language="en", text=f"The secret of {platform.name}."
        )
        self.event = Event.objects.create(platform=platform, type="ping", payload="{}")
        self.chat = make_chat(platform, people, reference=f"secret of {platform.name}")
        self.participant = self.chat.participants.get(position=1)
        [self.scheduled_text, _] = send_platform_text(
            chat_id=self.chat.pk, text="hello", send_at=timezone.now() + timedelta(hours=1), now=timezone.now()
        )

    def find(self, parameter: str) -> str:
        assert parameter in RECIPES, (
            f"There is no recipe for {{{parameter}}}: say in tests/platforms/operations.py how to make one, so that "
            "the tests can try it with another platform's key."
        )
        return str(RECIPES[parameter](self))


@dataclass(frozen=True)
class Operation:
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def described(self) -> Mapping[str, Any]:
        operation: Mapping[str, Any] = SCHEMA["paths"][self.path][self.method]
        return operation

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.path)

    @property
    def writes(self) -> bool:
        return self.method not in ("get", "head", "options")

    @property
    def repeatable(self) -> bool:
        return self.method in ("post", "patch")

    def call(self, client: APIClient, values: Mapping[str, str], **headers: str) -> Any:
        """Send the request, with the body of the documentation's first example, if it takes one."""
        content = self.described.get("requestBody", {}).get("content", {}).get("application/json", {})
        examples = list(content.get("examples", {}).values())
        asked = examples[0]["value"] if examples else ({} if content else None)
        return getattr(client, self.method)(self.path.format_map(values), *filter(None, [asked]), headers=headers)


OPERATIONS = [Operation(method, path) for path, methods in SCHEMA["paths"].items() for method in methods]
ON_ONE_OBJECT = [operation for operation in OPERATIONS if operation.parameters]
WRITING = [operation for operation in OPERATIONS if operation.writes]
