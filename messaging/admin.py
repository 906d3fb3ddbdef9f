"""The message log as the operator sees it: to be read, and nothing else."""

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.timezone import localdate
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.decorators import display

from audit.models import Action
from chats.transcript import (
    describe_attachment,
    describe_disclosures,
    describe_error,
    hide_numbers,
    name_of,
    short_id,
    show_body,
    show_number,
    show_time,
    translate_detail,
)

# Its pages are registered by being imported.
from messaging import opt_out_admin  # noqa: F401
from messaging.models import Attachment, Message
from operators.day_filter import DAYS, DayFilter
from operators.desk_admin import DeskAdmin, ReadOnlyAdmin, UncountedList
from proxy_project.ids import first_id_at

# So many texts after a time tell where in the log it is; several processes write at once.
_AROUND = 200

# Its page counts every job there ever was, and can run a job again that the service has settled.
admin.site.unregister(ProcrastinateJob)


class LogDayFilter(DayFilter):
    """The texts of a day, or of the last seven, by their places in the log."""

    WEEK = "week"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*super().lookups(request, model_admin), (self.WEEK, gettext("The last seven days"))]

    def find_days(self) -> tuple[date, date] | None:
        if self.value() != self.WEEK:
            return super().find_days()
        today = localdate()
        return today - timedelta(days=DAYS - 1), today

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        if (bounds := self.find_bounds()) is None:
            return queryset
        begins_at, ends_at = bounds
        first, after = _positions_at(begins_at), _positions_at(ends_at)
        # A text that waited for its time has a later place than its day, and is not found.
        places = {"position__gte": min(first, default=0)} | ({"position__lt": max(after)} if after else {})
        return queryset.filter(created_at__gte=begins_at, created_at__lt=ends_at, **places)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin, UncountedList, DeskAdmin):
    reading = Action.READ_MESSAGE
    list_display = ("created_", "direction_", "person", "kind", "status_", "error_code", "error_kind", "disclosures_",
                    "number", "chat_")  # fmt: skip
    list_display_links = ("created_",)
    list_filter = (LogDayFilter, "status", "direction", "kind", "error_kind")
    ordering = ("-position",)
    empty_state = _("No texts here. The log fills as people text.")
    actions = None
    fields = ("id", "direction_", "kind", "status_", "person", "number", "chat_", "body_", "disclosures_", "channel",
              "attachments_", "relays_", "relayed_as_", "error", "error_kind", "attempts", "due_at", "gateway_id",
              "segments", "price_", "created_at", "sent_at", "delivered_at", "failed_at")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        # The list shows no body, so none is read and decrypted for it.
        return super().get_queryset(request).select_related("virtual_number", "participant").defer("body")

    @display(
        description=_("Status"),
        label={
            Message.Status.RELAYED: "success",
            Message.Status.DELIVERED: "success",
            Message.Status.SCHEDULED: "info",
            Message.Status.PREPARING: "info",
            Message.Status.QUEUED: "info",
            Message.Status.HELD: "info",
            Message.Status.KEYWORD: "success",
            Message.Status.SENDING: "info",
            Message.Status.SENT: "info",
            Message.Status.UNCONFIRMED: "warning",
            Message.Status.LATE: "warning",
            Message.Status.UNMATCHED: "warning",
            Message.Status.BLOCKED: "danger",
            Message.Status.FAILED: "danger",
        },
    )
    def status_(self, message: Message) -> tuple[str, str]:
        return message.status, message.get_status_display().lower()

    @display(description=_("Created"))
    def created_(self, message: Message) -> str | None:
        return show_time(message.created_at)

    @display(description=_("Direction"))
    def direction_(self, message: Message) -> str:
        return message.get_direction_display()

    @display(description=_("Person"))
    def person(self, message: Message) -> str:
        if message.participant:
            return f"{name_of(message.participant)} {show_number(message.participant.phone_number)}"
        return f"{gettext('stranger')} {show_number(message.stranger_number)}" if message.stranger_number else "-"

    @display(description=_("Virtual number"))
    def number(self, message: Message) -> str:
        return message.virtual_number.number if message.virtual_number else gettext("not ours")

    @display(description=_("Chat"))
    def chat_(self, message: Message) -> str:
        if message.chat_id is None:
            return "-"
        return _link("admin:chats_chat_change", message.chat_id, short_id(message.chat_id))

    @display(description=_("Error"))
    def error(self, message: Message) -> str:
        return hide_numbers(describe_error(message), _numbers_of(message))

    @display(description=_("Body"))
    def body_(self, message: Message) -> str:
        return show_body(message.body, _numbers_of(message))

    @display(description=_("Gives away"))
    def disclosures_(self, message: Message) -> str:
        return describe_disclosures(message) or "-"

    @display(description=_("Attachments"))
    def attachments_(self, message: Message) -> str:
        attachments = message.attachments.all()
        return format_html_join(mark_safe("<br>"), "{}", [(describe_attachment(each),) for each in attachments]) or "-"

    @display(description=_("Passes on"))
    def relays_(self, message: Message) -> str:
        return _link_to(message.relays_id)

    @display(description=_("Passed on as"))
    def relayed_as_(self, message: Message) -> str:
        return _link_to(Message.objects.filter(relays=message.pk).values_list("pk", flat=True).first())

    @display(description=_("Price"))
    def price_(self, message: Message) -> str:
        return "-" if message.price is None else f"{message.price.normalize():f} {message.currency}".strip()


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin, UncountedList, DeskAdmin):
    """What people attached, and what became of it: the operator finds here what could not be passed on."""

    list_display = ("created_", "kind", "status_", "why", "size_", "text")
    list_filter = ("status", "kind")
    # Ids are ordered by time.
    ordering = ("-id",)
    list_display_links = None
    empty_state = _("No pictures, recordings or files here. They come with texts.")
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attachment]:
        return super().get_queryset(request).defer("source_url")

    @display(description=_("Came"))
    def created_(self, attachment: Attachment) -> str | None:
        return show_time(attachment.created_at)

    @display(
        description=_("Status"),
        label={
            Attachment.Status.STORED: "success",
            Attachment.Status.WAITING: "info",
            Attachment.Status.WITHHELD: "warning",
            Attachment.Status.FAILED: "danger",
            Attachment.Status.FORGOTTEN: "default",
        },
    )
    def status_(self, attachment: Attachment) -> tuple[str, str]:
        return attachment.status, attachment.get_status_display()

    @display(description=_("Why"))
    def why(self, attachment: Attachment) -> str:
        code = f"({attachment.error_code})" if attachment.error_code else ""
        return " ".join(filter(None, [translate_detail(attachment.error_detail), code])) or "-"

    @display(description=_("Size"))
    def size_(self, attachment: Attachment) -> str:
        return filesizeformat(attachment.size) if attachment.size else "-"

    @display(description=_("Text"))
    def text(self, attachment: Attachment) -> str:
        return _link_to(attachment.message_id)


def _positions_at(moment: datetime) -> list[int]:
    """Return where the log was at that time, more or less: ids are ordered by time, but not to the millisecond."""
    rows = Message.objects.filter(pk__gte=first_id_at(moment)).order_by("pk")
    return list(rows.values_list("position", flat=True)[:_AROUND])


def _numbers_of(message: Message) -> list[str]:
    """Return whose number may stand in a text: a relay quotes the person who wrote it."""
    if message.chat_id is None:
        return [message.stranger_number]
    assert message.chat  # chat_id
    return [participant.phone_number for participant in message.chat.participants.all()]


def _link_to(message_id: Any) -> str:
    return _link("admin:messaging_message_change", message_id, gettext("that message")) if message_id else "-"


def _link(page: str, key: Any, text: str) -> str:
    return format_html('<a class="text-link" href="{}">{}</a>', reverse(page, args=[key]), text)
