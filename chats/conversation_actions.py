"""What operators do from a conversation: say what will happen to whom, and have the services do it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.enums import ActionVariant

from audit.admin_mixin import AuditedAdmin
from audit.log import operator_of
from audit.models import Action
from chats.allocation import NoFreeNumber
from chats.conversation import BY_OPERATOR
from chats.conversation_forms import (
    EndForm,
    ExtendForm,
    NoForm,
    ReopenForm,
    ReplaceForm,
    TextForm,
    people_of,
)
from chats.models import Chat, Participant
from chats.services import (
    AlreadyReplaced,
    CountryNotAllowed,
    HasEnded,
    HasNotStarted,
    ImpossibleTime,
    PersonIsVirtualNumber,
    RecipientBlocked,
    RecipientNotAllowed,
    RecipientOptedOut,
    SamePerson,
    UnknownRecipient,
    VirtualNumberTaken,
    VirtualNumberTakesNoChats,
    WasErased,
    change_chat,
    end_chat,
    reopen_chat,
    replace_participant,
    send_platform_text,
)
from chats.services.locking import find_people, lock_chat, lock_people
from chats.transcript import hide_numbers, name_of, short_id, show_number, show_time
from messaging.models import Message
from messaging.opt_outs import read_opted_out
from messaging.resending import REFUSALS, CannotResend, foresee_resending, resend_text

# What a service refuses, in words for an operator, and at which field they stand.
_REFUSED: dict[type[Exception], tuple[str | None, str | Promise]] = {
    HasEnded: (None, gettext_lazy("The chat has ended. Reopen it first.")),
    HasNotStarted: (None, gettext_lazy("The chat has not started, so its people do not know it yet.")),
    UnknownRecipient: ("to", gettext_lazy("Somebody else has taken this person's place. Choose again.")),
    RecipientOptedOut: (
        "to",
        gettext_lazy(
            "Somebody who was to be texted has opted out, and only they can change that, by texting START. Text the "
            "other person alone."
        ),
    ),
    RecipientBlocked: (
        "to",
        gettext_lazy("Somebody who was to be texted is blocked. Text the other person alone, or unblock them first."),
    ),
    RecipientNotAllowed: (
        "to",
        gettext_lazy("Phone numbers of the country of somebody who was to be texted are not texted."),
    ),
    VirtualNumberTaken: (
        None,
        gettext_lazy(
            "Somebody of this chat has, or had lately, a chat with somebody else on its virtual number: their texts "
            "could go astray. The platform has to start a new chat."
        ),
    ),
    VirtualNumberTakesNoChats: (
        None,
        gettext_lazy("The chat's virtual number takes no new chats. The platform has to start a new chat."),
    ),
    WasErased: (
        None,
        gettext_lazy("Phone numbers of this chat have been erased. The platform has to start a new chat."),
    ),
    SamePerson: ("phone_number", gettext_lazy("Somebody in this chat has this phone number already.")),
    PersonIsVirtualNumber: ("phone_number", gettext_lazy("This is one of the virtual numbers, and nobody's phone.")),
    CountryNotAllowed: ("phone_number", gettext_lazy("Phone numbers of this country are not texted.")),
    AlreadyReplaced: (
        "participant",
        gettext_lazy("Somebody else has taken this person's place already. Look at the chat, and choose again."),
    ),
    NoFreeNumber: (
        "phone_number",
        gettext_lazy("This person has, or had lately, a chat on every virtual number there is for them."),
    ),
}


class ConversationActions(AuditedAdmin, ModelAdmin):
    """What can be done from the page of a chat. Each is a form that is posted, and recorded with what it does."""

    def has_end_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may change a chat may do all of this."""
        return request.user.has_perm("chats.change_chat")

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("messaging.change_message")

    @method_decorator(sensitive_post_parameters("text"))
    def text_people(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Text one person of the chat or both; what is typed on the chat's page is shown here to be confirmed."""
        chat = self._find_to_change(request, object_id)
        people = people_of(chat)
        is_confirmed = _is_confirmed(request)
        typed = {key: request.POST[key] for key in ("to", "text") if key in request.POST}
        form = TextForm(request.POST, people=people) if is_confirmed else TextForm(initial=typed, people=people)

        def send() -> None:
            to = form.recipient
            text, now = form.cleaned_data["text"], timezone.now()
            # Other words typed on the same page, gone back to, are another text.
            key = f"{BY_OPERATOR}{form.cleaned_data['token']}:{sha256(text.encode()).hexdigest()[:16]}"
            sent = send_platform_text(chat_id=chat.pk, text=text, to=to, now=now, once_key=key)
            if not sent:
                messages.info(request, _("This text was sent before; nobody gets it twice."))
                return
            who = [one for one in people if one.pk in {message.participant_id for message in sent}]
            words = "Texted both people" if len(who) > 1 else f"Texted participant {who[0].position}"
            self.log_action(request, chat, Action.TEXTED_PEOPLE, words=words)
            names = [name_of(one) for one in who]
            told = _("%(one)s and %(other)s") % {"one": names[0], "other": names[-1]} if len(who) > 1 else names[0]
            messages.success(request, _("On its way to %(who)s.") % {"who": told})

        if is_confirmed and self._try(form, send):
            return self._back(chat)
        consequences = [
            _("Whoever is chosen gets this text at once, from the virtual number that they know."),
            _("To them it comes from the service, on behalf of %(platform)s. It cannot be taken back.")
            % {"platform": chat.platform},
        ]
        if chat.platform.quiet_from:
            consequences.append(_("Where it is night now, it waits for the morning."))
        opted_out = read_opted_out(people)
        rows = [
            {
                **row,
                "lines": [*row["lines"], _("Has opted out: cannot be texted")] if one.pk in opted_out else row["lines"],
            }
            for one, row in zip(people, _list_people(chat), strict=True)
        ]
        return self._ask(
            request, chat, form, title=_("Text these people?"), consequences=consequences, rows=rows,
            button=_("Send the text"), is_dangerous=False,
        )  # fmt: skip

    def resend(self, request: HttpRequest, object_id: UUID, message_id: UUID) -> HttpResponse:
        """Send a text that has failed once more."""
        chat = self._find(request, object_id)
        if not self.has_resend_permission(request):
            raise PermissionDenied
        texts = Message.objects.filter(chat=chat, direction="out").select_related("participant")
        text = texts.defer("stranger_number").filter(pk=message_id).first()
        if text is None:
            raise Http404("There is no such text.")
        form = NoForm(request.POST if _is_confirmed(request) else None)

        def send() -> None:
            try:
                resend_text(text.pk, operator_of(request))
            except CannotResend as error:
                messages.warning(request, str(error))
            else:
                messages.success(request, _("On its way again to %(who)s.") % {"who": name_of(text.participant)})

        if _is_confirmed(request) and self._try(form, send):
            return self._back(chat)
        refusal = foresee_resending([text.pk])[text.pk]
        who = name_of(text.participant)
        consequences = (
            [_("It is not sent again:"), REFUSALS[refusal]]
            if refusal
            else [
                _("%(who)s gets this text, from the same virtual number, unless they opt out until then.")
                % {"who": who},
                _("Who wrote it is told nothing now, nor again should it fail again."),
            ]
        )
        rows = [
            {"title": who, "lines": [hide_numbers(text.body, [one.phone_number for one in chat.participants.all()])]}
        ]
        return self._ask(
            request, chat, form, title=_("Send this text again?"), consequences=consequences, rows=rows,
            button="" if refusal else _("Send again"), is_dangerous=False,
        )  # fmt: skip

    @action(description=gettext_lazy("Move the end"), permissions=["end"], url_path="extend", icon="update")
    def extend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the chat end by itself later, earlier or not at all."""
        chat = self._find_to_change(request, object_id)
        initial = {"expires_at": chat.expires_at, "seen": _write(chat.expires_at)}
        form = ExtendForm(request.POST if _is_confirmed(request) else None, initial=initial)

        def move() -> None:
            now_ends, ends = lock_chat(chat.pk).expires_at, form.cleaned_data["expires_at"]
            if _write(now_ends) == _write(ends):
                messages.info(request, _("The chat ends then already; nothing changed."))
                return
            if _write(now_ends) != form.cleaned_data["seen"]:
                # With what stands there now; what was typed stays, to be confirmed again.
                form.data = {**request.POST.dict(), "seen": _write(now_ends)}
                raise _Refused(
                    _("Somebody else has just moved the end of this chat: %(now)s. Save again to move it all the same.")
                    % {"now": _say_end(now_ends)}
                )
            change_chat(chat_id=chat.pk, changes={"expires_at": ends}, now=timezone.now())
            words = f"Moved the end of the chat to {ends:%Y-%m-%d %H:%M} UTC" if ends else "Took the chat's end away"
            self.log_action(request, chat, Action.EXTENDED_CHAT, words=words)
            messages.success(request, _say_end(ends))

        if _is_confirmed(request) and self._try(form, move):
            return self._back(chat)
        consequences = [
            _say_end(chat.expires_at),
            _("Nobody is told now. When the new end has come, nothing more is passed on between the people below."),
        ]
        if chat.idle_ends_at:
            consequences.append(
                _("After silence it ends all the same, at %(time)s if nobody texts.")
                % {"time": show_time(chat.idle_ends_at)}
            )
        return self._ask(
            request, chat, form, title=_("Move the end of this chat?"), consequences=consequences,
            rows=_list_people(chat), button=_("Move the end"), is_dangerous=False,
        )  # fmt: skip

    @action(
        description=gettext_lazy("Reopen"),
        permissions=["end"],
        url_path="reopen",
        icon="refresh",
        variant=ActionVariant.PRIMARY,
    )
    def reopen(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open a chat again that has ended."""
        chat = self._find_to_change(request, object_id)
        now = timezone.now()
        is_ahead = chat.expires_at is not None and chat.expires_at > now
        form = ReopenForm(
            request.POST if _is_confirmed(request) else None,
            initial={"expires_at": chat.expires_at if is_ahead else None},
        )

        def reopen() -> None:
            # The locks of reopen_chat, in its order: of two operators one reopens it.
            lock_people(*(bytes(one.phone_digest) for one in find_people(chat.pk)))
            if lock_chat(chat.pk).status != Chat.Status.ENDED:
                messages.info(request, _("The chat was open already; nothing changed."))
                return
            reopen_chat(chat_id=chat.pk, changes={"expires_at": form.cleaned_data["expires_at"]}, now=now)
            self.log_action(request, chat, Action.REOPENED_CHAT, words="Reopened the chat")
            messages.success(request, _("The chat is open again."))

        if _is_confirmed(request) and self._try(form, reopen):
            return self._back(chat)
        consequences = [
            _("The people below can text each other again, through the virtual numbers they know."),
            _("Nobody is told, unless the chat had ended before it started."),
            _("What was not passed on since it ended is not passed on now."),
        ]  # fmt: skip
        return self._ask(
            request, chat, form, title=_("Reopen this chat?"), consequences=consequences, rows=_list_people(chat),
            button=_("Reopen the chat"), is_dangerous=False,
        )  # fmt: skip

    @sensitive_variables("form")
    @method_decorator(sensitive_post_parameters("phone_number", "name"))
    @action(description=gettext_lazy("Replace a number"), permissions=["end"], url_path="replace", icon="swap_horiz")
    def replace_person(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Put another phone, or another person, in somebody's place."""
        chat = self._find_to_change(request, object_id)
        form = ReplaceForm(request.POST if _is_confirmed(request) else None, chat=chat)

        def replace() -> None:
            leaving: Participant = form.cleaned_data["participant"]
            now = timezone.now()
            replace_participant(
                chat_id=chat.pk,
                participant_id=leaving.pk,
                phone_number=form.cleaned_data["phone_number"],
                name=form.cleaned_data["name"],
                now=now,
            )
            if not Participant.objects.filter(pk=leaving.pk, replaced_at=now).exists():
                messages.info(request, _("This was done before; nothing changed."))
                return
            words = f"Replaced participant {leaving.position}"
            self.log_action(request, chat, Action.REPLACED_PARTICIPANT, on=leaving, words=words)
            messages.success(request, _("%(who)s is replaced.") % {"who": name_of(leaving)})

        if _is_confirmed(request) and self._try(form, replace):
            return self._back(chat)
        consequences = [
            _("The old phone is cut off at once: nothing it texts is passed on, and what waits for it is not sent."),
            _("The new phone gets an introduction, and the other person is told, once the chat has started."),
            _("The other person keeps their virtual number."),
        ]  # fmt: skip
        return self._ask(
            request, chat, form, title=_("Replace somebody's number?"), consequences=consequences,
            rows=_list_people(chat), button=_("Replace the number"), is_dangerous=True,
        )  # fmt: skip

    @method_decorator(sensitive_post_parameters("closing_text"))
    @action(
        description=gettext_lazy("End chat"),
        permissions=["end"],
        url_path="end",
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def end_one_chat(self, request: HttpRequest, object_id: str) -> HttpResponse:
        chat = self._find_to_change(request, object_id)
        form = EndForm(request.POST if _is_confirmed(request) else None)

        def end() -> None:
            now, reason = timezone.now(), form.cleaned_data["reason"]
            closing_text = form.cleaned_data["closing_text"]
            # Another may have ended it since it was read: then it has another time.
            if end_chat(chat_id=chat.pk, reason=reason, closing_text=closing_text, now=now).ended_at != now:
                messages.info(request, _("This chat had ended before; nothing changed."))
                return
            words = f"Ended the chat: {reason}"
            self.log_action(request, chat, Action.ENDED_CHAT, reason=reason, words=words)
            messages.success(request, _("Ended the chat."))

        if _is_confirmed(request) and self._try(form, end):
            return self._back(chat)
        consequences = [
            _("The people below can no longer text each other, until the chat is reopened."),
            _("Each gets the closing text, if there is one."),
            _("Whoever still texts is answered once that the chat has ended."),
            _("Texts that have reached us before are still passed on."),
        ]  # fmt: skip
        if chat.status == Chat.Status.SCHEDULED:
            consequences = [
                _("The chat is called off before it starts. Its people do not know of it, and are told nothing.")
            ]
        if chat.status == Chat.Status.ENDED:
            consequences = [_("This chat had ended before.")]
        return self._ask(
            request, chat, form, title=_("End this chat?"), consequences=consequences, rows=_list_people(chat),
            button=_("End this chat"), is_dangerous=True,
        )  # fmt: skip

    def _find_to_change(self, request: HttpRequest, object_id: Any) -> Chat:
        chat = self._find(request, object_id)
        if not self.has_end_permission(request, chat):
            raise PermissionDenied
        return chat

    def _try(self, form: Any, do: Callable[[], None]) -> bool:
        """Do what a form asks for, in one transaction with its record; what is refused is said in the form."""
        if not form.is_valid():
            return False
        with _refusals(form), transaction.atomic():
            do()
        return not form.errors

    def _ask(
        self,
        request: HttpRequest,
        chat: Chat,
        form: forms.Form,
        *,
        title: str,
        consequences: Sequence[str | Promise],
        rows: Sequence[dict[str, Any]],
        button: str,
        is_dangerous: bool,
    ) -> HttpResponse:
        """Say what will happen to whom, before it does."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "consequences": consequences,
            "rows": rows,
            "form": form,
            "button": button,
            "variant": "danger" if is_dangerous else "primary",
            "chat_words": _describe_chat(chat),
            "back": reverse("admin:chats_chat_change", args=[chat.pk]),
            "media": self.media,
        }
        return TemplateResponse(request, "chats/conversation_form.html", context)

    def _back(self, chat: Chat) -> HttpResponse:
        return redirect("admin:chats_chat_change", chat.pk)

    def _find(self, request: HttpRequest, object_id: Any) -> Chat:
        if not self.has_view_permission(request):
            raise PermissionDenied
        chat: Chat | None = self.get_object(request, str(object_id))
        if chat is None:
            raise Http404("There is no such chat.")
        return chat


class _Refused(Exception):
    """What was asked for is not done; the message says why."""


@contextmanager
def _refusals(form: forms.Form) -> Iterator[None]:
    """Turn what a service refuses within this block into an error of the form."""
    try:
        yield
    except ImpossibleTime as error:
        words = _("Must be in the future.") if error.code == "in_the_past" else str(error)
        form.add_error(error.field if error.field in form.fields else None, words)
    except _Refused as error:
        form.add_error(None, str(error))
    except tuple(_REFUSED) as error:
        where, why = next(found for kind, found in _REFUSED.items() if isinstance(error, kind))
        form.add_error(where if where in form.fields else None, str(why))


def _is_confirmed(request: HttpRequest) -> bool:
    return request.method == "POST" and "confirmed" in request.POST


def _list_people(chat: Chat) -> list[dict[str, Any]]:
    return [
        {
            "title": ", ".join([name_of(one), show_number(one.phone_number) or _("erased")]),
            "lines": [_("through %(number)s") % {"number": one.virtual_number.number}],
        }
        for one in people_of(chat)
    ]


def _describe_chat(chat: Chat) -> str:
    reference = hide_numbers(chat.reference or "", [one.phone_number for one in chat.participants.all()])
    return ", ".join(filter(None, [short_id(chat.pk), reference, str(chat.platform)]))


def _write(moment: Any) -> str:
    """Return a time to the minute, as it is compared and typed."""
    return f"{moment:%Y-%m-%dT%H:%M}Z" if moment else ""


def _say_end(moment: Any) -> str:
    if moment is None:
        return _("The chat does not end at a certain time.")
    return _("The chat ends at %(time)s.") % {"time": show_time(moment)}
