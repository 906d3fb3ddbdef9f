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
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.models import Action

# Its pages are registered by being imported.
from chats import number_admin  # noqa: F401
from chats.csv_export import stream_csv
from chats.models import Chat, Participant, mask
from chats.restriction_admin import RestrictionActions
from chats.revealing import RevealsNumbers
from chats.services import end_chat
from chats.transcript import hide_numbers, name_of, read_transcript, short_id, show_time
from messaging.models import Message
from platforms.models import Platform
from platforms.templates import validate_no_phone_number
from proxy_project.encryption import digest_number

TRANSCRIPT_LIMIT = 200
# Each is a transaction of its own, within one request.
END_AT_ONCE_LIMIT = 100


class SamePersonFilter(admin.SimpleListFilter):
    """The chats of one person, named by one of their participants: no address holds their number."""

    title = "person"
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.used_parameters.get(self.parameter_name)
        return [(value, "the person searched for")] if value else []

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
        max_length=Chat._meta.get_field("end_reason").max_length,
        validators=[validate_no_phone_number],
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept with the chat, in the history of this admin too; the platform can read it.",
    )


@admin.register(Chat)
class ChatAdmin(RevealsNumbers, RestrictionActions):
    reading = Action.READ_CHAT
    list_display = ("chat_", "platform", "people", "numbers", "status_", "created_", "last_text_",
                    "ends_")  # fmt: skip
    # All platforms: to find those that have chats would read every chat.
    list_filter = ("status", "platform", SamePersonFilter)
    list_display_links = ("chat_",)
    list_per_page = 50
    list_disable_select_all = True
    sortable_by = ("created_",)
    # Not in SQL: see get_search_results. Without any, there would be no search box.
    search_fields = ("reference",)
    search_help_text = "Reference, chat id or +number"
    # Nothing here counts what may be millions of rows.
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    empty_state = "No chats here. A platform opens one with POST /chats."
    actions = ("end_chats",)
    actions_detail = ("reveal_number", "restrict", "export_transcript", "end_one_chat")
    change_form_after_template = "chats/transcript.html"
    fields = ("id", "platform", "reference_", "status_", "people", "created_at", "starts_at", "expires_at",
              "idle_timeout_seconds", "idle_ends_at", "ended_at", "end_reason_", "metadata_")  # fmt: skip

    class Media:
        css = {"all": ("chats/transcript.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Chat | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Chat | None = None) -> bool:
        return False

    def has_end_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Ending a chat is the one change there is."""
        return request.user.has_perm("chats.change_chat")

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
        for parameter in (SEARCH_VAR, PAGE_VAR, SamePersonFilter.parameter_name):
            address.pop(parameter, None)
        if not _may_be_number(text):
            address[SEARCH_VAR] = text
        elif person_id := _find_person(text):
            address[SamePersonFilter.parameter_name] = str(person_id)
        elif chats := list(_chats_by_reference(text).values_list("pk", flat=True)):
            address[SEARCH_VAR] = " ".join(str(chat_id) for chat_id in chats)
        else:
            address[SamePersonFilter.parameter_name] = "nobody"
            messages.warning(request, "No chat has this reference, and nobody in a chat has this phone number.")
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

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        *args: Any,
        obj: Chat | None = None,
        **kwargs: Any,
    ) -> HttpResponse:
        if obj:
            context["transcript"] = read_transcript(chat=obj, limit=TRANSCRIPT_LIMIT)
            if obj.status == Chat.Status.ENDED:
                end = reverse("admin:chats_chat_end_one_chat", args=[obj.pk])
                context["actions_detail"] = [each for each in context["actions_detail"] if each["path"] != end]
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)

    @action(description="End chats", permissions=["end"])
    def end_chats(self, request: HttpRequest, queryset: QuerySet[Chat]) -> HttpResponse | None:
        chats = list(queryset[: END_AT_ONCE_LIMIT + 1])
        if len(chats) > END_AT_ONCE_LIMIT:
            messages.error(request, f"End at most {_count(END_AT_ONCE_LIMIT, 'chat')} at once.")
            return None
        return self._end_or_confirm(request, chats, action="end_chats")

    @action(description="Export as CSV", permissions=["view"], url_path="transcript.csv", icon="download")
    def export_transcript(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        chat = self.get_object(request, object_id)
        if chat is None:
            raise Http404("There is no such chat.")
        self.log_action(request, chat, Action.EXPORTED)
        return stream_csv(chat=chat)

    @action(
        description="End chat",
        permissions=["end"],
        url_path="end",
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def end_one_chat(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chat = self.get_object(request, object_id)
        if chat is None:
            raise Http404("There is no such chat.")
        return self._end_or_confirm(request, [chat]) or redirect("admin:chats_chat_change", chat.pk)

    def _end_or_confirm(self, request: HttpRequest, chats: Sequence[Chat], *, action: str = "") -> HttpResponse | None:
        """End `chats` when a reason was posted, else ask for it; None when they are ended."""
        is_confirmed = request.method == "POST" and "confirmed" in request.POST
        form = EndChatsForm(request.POST if is_confirmed else None)
        if is_confirmed and form.is_valid():
            self._end(request, chats, reason=form.cleaned_data["reason"])
            return None
        what = "this chat" if len(chats) == 1 else f"these {len(chats)} chats"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"End {what}?",
            "consequences": (
                "The people below can no longer text each other. Only the platform can reopen a chat.",
                "Nobody is told now; whoever still texts is answered once that the chat has ended.",
                "Texts that have reached us before are still passed on.",
            ),
            "rows": [{"title": _describe(chat), "lines": _describe_people(chat)} for chat in chats],
            "form": form,
            "selected": [chat.pk for chat in chats] if action else [],
            "action": action,
            "button": f"End {what}",
            "back": reverse("admin:chats_chat_changelist")
            if action
            else reverse("admin:chats_chat_change", args=[chats[0].pk]),
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
            messages.success(request, f"Ended {_count(ended, 'chat')}.")
        if over := len(chats) - ended:
            messages.info(request, f"{_count(over, 'chat')} had ended before; nothing changed there.")

    @display(description="Chat", header=True)
    def chat_(self, chat: Chat) -> tuple[str, str]:
        return short_id(chat.pk), self.reference_(chat)

    @display(description="Reference")
    def reference_(self, chat: Chat) -> str:
        return hide_numbers(chat.reference or "", _numbers_of(chat))

    @display(
        description="Status",
        label={Chat.Status.SCHEDULED: "info", Chat.Status.OPEN: "success", Chat.Status.ENDED: "default"},
    )
    def status_(self, chat: Chat) -> str:
        return chat.status

    @display(description="People")
    def people(self, chat: Chat) -> SafeString:
        return _lines(
            " ".join([name_of(one), mask(one.phone_number), *_describe_state(one)]) for one in chat.participants.all()
        )

    @display(description="Virtual number")
    def numbers(self, chat: Chat) -> SafeString:
        return _lines(dict.fromkeys(one.virtual_number.number for one in _people_of(chat)))

    @display(description="Created", ordering="created_at")
    def created_(self, chat: Chat) -> str | None:
        return show_time(chat.created_at)

    @display(description="Last text")
    def last_text_(self, chat: Chat) -> str | None:
        return show_time(chat.last_text_at)  # type: ignore[attr-defined]

    @display(description="Ends or ended")
    def ends_(self, chat: Chat) -> str | None:
        planned = [moment for moment in (chat.expires_at, chat.idle_ends_at) if moment]
        return show_time(chat.ended_at or min(planned, default=None))

    @display(description="End reason")
    def end_reason_(self, chat: Chat) -> str:
        return hide_numbers(chat.end_reason, _numbers_of(chat))

    @display(description="Metadata")
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
    ended = ", ended already" if chat.status == Chat.Status.ENDED else ""
    return f"{short_id(chat.pk)}{f' ({reference})' if reference else ''}, {chat.platform}{ended}"


def _describe_people(chat: Chat) -> list[str]:
    return [
        f"{name_of(one)}, {mask(one.phone_number)}, through {one.virtual_number.number}" for one in _people_of(chat)
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
