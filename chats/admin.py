"""The operator's pages of chats; only the services change a chat."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import phonenumbers
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.models import Action

# Its pages are registered by being imported.
from chats import number_admin  # noqa: F401
from chats.conversation_admin import ConversationPages
from chats.csv_export import stream_csv
from chats.list_filters import StartedFilter, VirtualNumberFilter, find_virtual_number
from chats.models import Chat, Participant
from chats.restriction_admin import RestrictionActions
from chats.revealing import RevealsNumbers
from chats.services import end_chat
from chats.transcript import hide_numbers, name_of, short_id, show_number, show_time
from messaging.models import Message
from operators.desk_admin import ReadOnlyAdmin, UncountedList
from operators.masking import READS_TEXTS, SEES_MASKED_NUMBERS, sees_masked_numbers
from platforms.models import Platform
from platforms.templates import validate_no_phone_number
from proxy_project.encryption import digest_number

# Each is a transaction of its own, within one request.
END_AT_ONCE_LIMIT = 100


class SamePersonFilter(admin.SimpleListFilter):
    """The chats of one person, named by one of their participants: no address holds their number."""

    title = _("person")
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.used_parameters.get(self.parameter_name)
        return [(value, gettext("the person searched for"))] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Chat]) -> QuerySet[Chat]:
        value = self.value()
        if value is None:
            return queryset
        same_person = Participant.objects.filter(
            phone_digest__in=Participant.objects.filter(pk__in=_read_uuids(value)).values("phone_digest")
        )
        return queryset.filter(pk__in=same_person.values("chat"))


class EndChatsForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=Chat._meta.get_field("end_reason").max_length,
        validators=[validate_no_phone_number],
        widget=UnfoldAdminTextInputWidget,
        help_text=_("Kept with the chat, in the history of this admin too; the platform can read it."),
    )


@admin.register(Chat)
class ChatAdmin(ConversationPages, RevealsNumbers, ReadOnlyAdmin, UncountedList, RestrictionActions):
    reading = Action.READ_CHAT
    list_display = ("chat_", "platform", "people", "numbers", "status_", "created_", "last_text_",
                    "ends_")  # fmt: skip
    # All platforms: to find those that have chats would read every chat.
    list_filter = ("status", StartedFilter, "platform", VirtualNumberFilter, SamePersonFilter)
    list_display_links = ("chat_",)
    list_disable_select_all = True
    sortable_by = ("created_",)
    # Not in SQL: see get_search_results. Without any, there would be no search box.
    search_fields = ("reference",)
    search_help_text = _("Reference, chat id, +number of a person or of ours")
    empty_state = _("No chats here. A platform opens one with POST /chats.")
    actions = ("end_chats",)
    actions_detail = (
        "replace_person",
        "restrict",
        "reveal_number",
        "export_transcript",
        "extend",
        "reopen",
        "end_one_chat",
    )
    fields = ("id", "platform", "reference_", "status_", "people", "created_at", "starts_at", "expires_at",
              "idle_timeout_seconds", "idle_ends_at", "ended_at", "end_reason_", "metadata_")  # fmt: skip

    def has_export_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What is exported is what all of this shows."""
        needed = ("operators.export_chats", SEES_MASKED_NUMBERS, READS_TEXTS)
        return self.has_view_permission(request) and request.user.has_perms(needed)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chat]:
        last_text = Message.objects.filter(chat=OuterRef("pk")).order_by("-position")
        people = Participant.objects.select_related("virtual_number")
        return (
            super()
            .get_queryset(request)
            .select_related("platform")
            .prefetch_related(Prefetch("participants", queryset=people))
            .annotate(last_text_at=Subquery(last_text.values("created_at")[:1]))
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        is_posted = request.method == "POST"
        searched = (request.POST if is_posted else request.GET).get(SEARCH_VAR)
        if searched is not None and (is_posted or _may_be_number(searched)):
            if not self.has_view_permission(request):
                raise PermissionDenied
            return self._show_search(request, searched)
        return super().changelist_view(request, extra_context)

    def _show_search(self, request: HttpRequest, searched: str) -> HttpResponse:
        """Answer a search, which is posted, with an address that has no phone number in it."""
        text = searched.strip()
        address = request.GET.copy()
        for parameter in (
            SEARCH_VAR,
            PAGE_VAR,
            SamePersonFilter.parameter_name,
            VirtualNumberFilter.parameter_name,
        ):
            address.pop(parameter, None)
        if not _may_be_number(text):
            address[SEARCH_VAR] = text
        elif number := find_virtual_number(text):
            address[VirtualNumberFilter.parameter_name] = str(number.pk)
        elif not sees_masked_numbers() and not _chats_by_reference(text).exists():
            # Who may see no digit learns nothing either of a number that they have from elsewhere.
            address[SamePersonFilter.parameter_name] = "nobody"
            messages.warning(
                request, gettext("No chat has this reference. Your role does not find people by phone number.")
            )
        elif sees_masked_numbers() and (person_id := _find_person(text)):
            address[SamePersonFilter.parameter_name] = str(person_id)
        elif chats := list(_chats_by_reference(text).values_list("pk", flat=True)):
            address[SEARCH_VAR] = " ".join(str(chat_id) for chat_id in chats)
        else:
            address[SamePersonFilter.parameter_name] = "nobody"
            messages.warning(
                request, gettext("No chat has this reference, and nobody in a chat has this phone number.")
            )
        return HttpResponseRedirect(f"{reverse('admin:chats_chat_changelist')}?{address.urlencode()}")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Chat], search_term: str
    ) -> tuple[QuerySet[Chat], bool]:
        text = search_term.strip()
        if not text:
            return queryset, False
        if chat_ids := _read_uuids(text):
            return queryset.filter(pk__in=chat_ids), False
        return queryset.filter(pk__in=_chats_by_reference(text).values("pk")), False

    @action(description=_("End chats"), permissions=["end"])
    def end_chats(self, request: HttpRequest, queryset: QuerySet[Chat]) -> HttpResponse | None:
        chats = list(queryset[: END_AT_ONCE_LIMIT + 1])
        if len(chats) > END_AT_ONCE_LIMIT:
            words = ngettext(
                "End at most %(limit)s chat at once.", "End at most %(limit)s chats at once.", END_AT_ONCE_LIMIT
            )
            messages.error(request, words % {"limit": END_AT_ONCE_LIMIT})
            return None
        return self._end_or_confirm(request, chats, action="end_chats")

    @action(description=_("Export as CSV"), permissions=["export"], url_path="transcript.csv", icon="download")
    def export_transcript(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        chat = self.get_object(request, object_id)
        if chat is None:
            raise Http404(gettext("There is no such chat."))
        self.log_action(request, chat, Action.EXPORTED)
        return stream_csv(chat=chat)

    def _end_or_confirm(self, request: HttpRequest, chats: Sequence[Chat], *, action: str) -> HttpResponse | None:
        """End `chats` when a reason was posted, else ask for it; None when they are ended."""
        is_confirmed = request.method == "POST" and "confirmed" in request.POST
        form = EndChatsForm(request.POST if is_confirmed else None)
        if is_confirmed and form.is_valid():
            self._end(request, chats, reason=form.cleaned_data["reason"])
            return None
        number = {"number": len(chats)}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": ngettext("End this chat?", "End these %(number)s chats?", len(chats)) % number,
            "consequences": (
                gettext("The people below can no longer text each other, until a chat is reopened on its page."),
                gettext(
                    "Each gets their platform's closing text, if it has one; whoever still texts is answered once that "
                    "the chat has ended."
                ),
                gettext("Texts that have reached us before are still passed on."),
            ),
            "rows": [{"title": _describe(chat), "lines": _describe_people(chat)} for chat in chats],
            "form": form,
            "selected": [chat.pk for chat in chats],
            "action": action,
            "button": ngettext("End this chat", "End these %(number)s chats", len(chats)) % number,
            "back": reverse("admin:chats_chat_changelist"),
        }
        return TemplateResponse(request, "chats/confirm.html", context)

    def _end(self, request: HttpRequest, chats: Sequence[Chat], *, reason: str) -> None:
        ended = 0
        for chat in chats:
            now = timezone.now()
            if chat.status == Chat.Status.ENDED:
                continue
            with transaction.atomic():
                # Another may have ended it since it was read: then it has another time.
                if end_chat(chat_id=chat.pk, reason=reason, now=now).ended_at == now:
                    words = f"Ended the chat: {reason}"
                    self.log_action(request, chat, Action.ENDED_CHAT, reason=reason, words=words)
                    ended += 1
        if ended:
            done = ngettext("Ended %(number)s chat.", "Ended %(number)s chats.", ended)
            messages.success(request, done % {"number": ended})
        if over := len(chats) - ended:
            before = ngettext(
                "%(number)s chat had ended before; nothing changed there.",
                "%(number)s chats had ended before; nothing changed there.",
                over,
            )
            messages.info(request, before % {"number": over})

    @display(description=_("Chat"), header=True)
    def chat_(self, chat: Chat) -> tuple[str, str]:
        return short_id(chat.pk), self.reference_(chat)

    @display(description=_("Reference"))
    def reference_(self, chat: Chat) -> str:
        return hide_numbers(chat.reference or "", _numbers_of(chat))

    @display(
        description=_("Status"),
        label={Chat.Status.SCHEDULED: "info", Chat.Status.OPEN: "success", Chat.Status.ENDED: "default"},
    )
    def status_(self, chat: Chat) -> tuple[str, str]:
        return chat.status, chat.get_status_display().lower()

    @display(description=_("People"))
    def people(self, chat: Chat) -> SafeString:
        return _lines(
            " ".join([name_of(one), show_number(one.phone_number), *_describe_state(one)])
            for one in chat.participants.all()
        )

    @display(description=_("Virtual number"))
    def numbers(self, chat: Chat) -> SafeString:
        return _lines(dict.fromkeys(one.virtual_number.number for one in _people_of(chat)))

    @display(description=_("Created"), ordering="created_at")
    def created_(self, chat: Chat) -> str | None:
        return show_time(chat.created_at)

    @display(description=_("Last text"))
    def last_text_(self, chat: Chat) -> str | None:
        return show_time(chat.last_text_at)  # type: ignore[attr-defined]

    @display(description=_("Ends or ended"))
    def ends_(self, chat: Chat) -> str | None:
        planned = [moment for moment in (chat.expires_at, chat.idle_ends_at) if moment]
        return show_time(chat.ended_at or min(planned, default=None))

    @display(description=_("End reason"))
    def end_reason_(self, chat: Chat) -> str:
        return hide_numbers(chat.end_reason, _numbers_of(chat))

    @display(description=_("Metadata"))
    def metadata_(self, chat: Chat) -> str:
        text = json.dumps(chat.metadata, indent=2, ensure_ascii=False) if chat.metadata else ""
        return format_html("<pre>{}</pre>", hide_numbers(text, _numbers_of(chat))) if text else ""


def _may_be_number(text: str) -> bool:
    """Whether it may not stand in an address: seven digits are a phone number in some country."""
    return sum(character.isdigit() for character in text) >= 7 and not _read_uuids(text)


def _find_person(text: str) -> UUID | None:
    """Return one of the participants that have the phone number `text` writes, in whatever way, with its country."""
    try:
        number = phonenumbers.parse(f"+{phonenumbers.normalize_digits_only(text).removeprefix('00')}")
    except phonenumbers.NumberParseException:
        return None
    digest = digest_number(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return Participant.objects.filter(phone_digest=digest).order_by().values_list("pk", flat=True).first()


def _chats_by_reference(text: str) -> QuerySet[Chat]:
    """Return the chats that have this reference, one a platform at most."""
    # By the platforms, because the index on references begins with them.
    return Chat.objects.filter(platform__in=list(Platform.objects.values_list("pk", flat=True)), reference=text)


def _read_uuids(text: str) -> list[UUID]:
    """Return the ids that `text` is made of, none if there is anything else."""
    try:
        return [UUID(word) for word in text.split()]
    except ValueError:
        return []


def _numbers_of(chat: Chat) -> list[str]:
    return [participant.phone_number for participant in chat.participants.all()]


def _describe(chat: Chat) -> str:
    reference = hide_numbers(chat.reference or "", _numbers_of(chat))
    ended = f", {gettext('ended already')}" if chat.status == Chat.Status.ENDED else ""
    return f"{short_id(chat.pk)}{f' ({reference})' if reference else ''}, {chat.platform}{ended}"


def _describe_people(chat: Chat) -> list[str]:
    return [
        gettext("%(name)s, %(phone_number)s, through %(virtual_number)s")
        % {
            "name": name_of(one),
            "phone_number": show_number(one.phone_number),
            "virtual_number": one.virtual_number.number,
        }
        for one in _people_of(chat)
    ]


def _describe_state(person: Participant) -> list[str]:
    states = {"(replaced)": person.replaced_at, "(muted)": person.muted_at, "(blocked)": person.blocked_at}
    return [state for state, at in states.items() if at]


def _people_of(chat: Chat) -> list[Participant]:
    """Return the two people whose chat it is now; those who were replaced are prefetched as well."""
    return [one for one in chat.participants.all() if one.replaced_at is None]


def _lines(lines: Iterable[str]) -> SafeString:
    line = '<span class="block whitespace-nowrap">{}</span>'
    return format_html_join("", line, ((text,) for text in lines))
