"""The operator's page of a conversation: read it, and watch it. What is done from there is in conversation_actions."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.forms import Script
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from audit.log import operator_of, record
from audit.models import Action, AuditEntry
from chats.conversation import Conversation, read_conversation
from chats.conversation_actions import ConversationActions
from chats.conversation_forms import (
    TextForm,
    people_of,
)
from chats.models import Chat
from chats.transcript import show_attachment
from messaging.media.views import show_attachment_file
from messaging.models import Attachment

# How many texts are read at once; earlier ones are shown on demand.
TEXTS_AT_ONCE = 50
# How often an open page looks for news.
LIVE_SECONDS = 4.0
# Who goes on watching a conversation has read it again.
_READ_AGAIN = timedelta(hours=1)


class ConversationPages(ConversationActions):
    """What the page of a chat shows, and how it stays up to date; `get_urls` has the actions too."""

    change_form_outer_before_template = "chats/conversation.html"

    class Media:
        css = {"all": ("chats/conversation.css",)}
        js = (Script("chats/conversation.js", type="module"),)

    def get_urls(self) -> list[URLPattern]:
        views = (
            ("<uuid:object_id>/text", self.text_people, "text"),
            ("<uuid:object_id>/live", self.show_live, "live"),
            ("<uuid:object_id>/resend/<uuid:message_id>", self.resend, "resend"),
            ("<uuid:object_id>/media/<uuid:attachment_id>", self.show_media, "media"),
        )
        wrap = self.admin_site.admin_view
        own = [path(address, wrap(view), name=f"chats_chat_{name}") for address, view, name in views]
        return [*own, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Chat | None = None, **kwargs: Any
    ) -> HttpResponse:
        if obj:
            context |= self._describe(request, obj)
            hidden = self._find_impossible(obj)
            # Beside the conversation there is room for them, and they are links that a keyboard reaches.
            context["talk_actions"] = [each for each in context["actions_detail"] if each["path"] not in hidden]
            context["actions_detail"] = []
            if obj.status == Chat.Status.OPEN and self.has_end_permission(request):
                context["text_form"] = TextForm(people=people_of(obj), auto_id="talk_%s")
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    @method_decorator(require_safe)
    def show_live(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Show the conversation alone, as it is now or before a position; 304 when that is what is shown already."""
        chat = self._find(request, object_id)
        self._record_reading(request, chat)
        shown = render_to_string("chats/conversation_part.html", self._describe(request, chat), request)
        tag = f'"{hashlib.sha256(shown.encode()).hexdigest()[:32]}"'
        if request.headers.get("If-None-Match") == tag:
            return HttpResponseNotModified(headers={"ETag": tag})
        return HttpResponse(shown, headers={"ETag": tag})

    @method_decorator(require_safe)
    def show_media(self, request: HttpRequest, object_id: UUID, attachment_id: UUID) -> HttpResponse:
        """Show an attachment of the chat, to whoever may read it, under an address that is of no use to others."""
        chat = self._find(request, object_id)
        attachment = Attachment.objects.filter(pk=attachment_id, message__chat=chat).first()
        if attachment is None or not show_attachment(attachment).link:
            raise Http404("There is no such attachment.")
        self._record_reading(request, chat)
        return show_attachment_file(request, attachment)

    def _record_reading(self, request: HttpRequest, chat: Chat) -> None:
        """Record that the chat was read, unless this operator has just opened its page."""
        by = operator_of(request)
        lately = AuditEntry.objects.filter(
            object_id=str(chat.pk), at__gt=timezone.now() - _READ_AGAIN, action=Action.READ_CHAT, actor_id=by.id
        )
        if not lately.exists():
            record(action=Action.READ_CHAT, by=by, on=chat)

    def _describe(self, request: HttpRequest, chat: Chat) -> dict[str, Any]:
        before = request.GET.get("before", "")
        conversation: Conversation = read_conversation(
            chat=chat,
            limit=TEXTS_AT_ONCE,
            before=int(before) if before.isascii() and before.isdecimal() and len(before) < 19 else None,
        )
        return {
            "chat": chat,
            "conversation": conversation,
            "is_earlier": bool(before),
            "live_milliseconds": int(LIVE_SECONDS * 1000),
            "may_resend": chat.status == Chat.Status.OPEN and self.has_resend_permission(request),
        }

    def _find_impossible(self, chat: Chat) -> set[str]:
        """Return the addresses of what cannot be done with the chat as it is."""
        is_ended = chat.status == Chat.Status.ENDED
        names = ("end_one_chat", "extend", "replace_person") if is_ended else ("reopen",)
        return {reverse(f"admin:chats_chat_{name}", args=[chat.pk]) for name in names}
