"""The pages of the desk besides the first one: the inbox of failures, and what is still to be set up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from audit.log import operator_of
from chats.transcript import name_of, short_id, show_time
from desk import failures as inbox
from desk.figures import read_week
from desk.models import Errand
from desk.reasons import advise, explain_code
from desk.setup import list_steps, read_installation
from desk.setup_tests import TestTextForm, check, ping_endpoints, send_test_text
from desk.words import say_count
from messaging.events import hide_numbers
from messaging.gateways.vonage_codes import MAY_HAVE_ARRIVED
from messaging.models import Message
from messaging.resending import REFUSALS, Refusal

PAGE = 50
# So many are named before "and 80 more".
_NAMED = 12
# In an address, the reason of texts that have none.
_NO_CODE = "-"
_Action = Errand.Action


@require_http_methods(["GET", "POST"])
def failures(request: HttpRequest) -> HttpResponse:
    """Show what failed, by reason, or the texts of one; and, posted, do what was chosen once it is confirmed."""
    _require(request, "messaging.view_message")
    if request.method == "POST":
        _require(request, "messaging.change_message")
        return _act(request)
    if "reason" in request.GET:
        return _show_group(request, _read_code(request.GET["reason"]))
    errands = inbox.list_errands()
    context = {
        "title": _("Failures"),
        "groups": [
            {
                "group": group,
                "count": _("more than %(count)s") % {"count": say_count(inbox.COUNTED)}
                if group.is_more
                else say_count(group.count),
                "newest": show_time(group.newest_at),
                "oldest": show_time(group.oldest_at),
                "reason": group.code or _NO_CODE,
                "link": _address_of(group.code),
            }
            for group in inbox.list_groups()
        ],
        "errands": [{"errand": errand, "words": _describe_errand(errand)} for errand in errands],
        "log": f"{reverse('admin:messaging_message_changelist')}?{urlencode({'status__exact': 'failed'})}",
    }
    return _render(request, "desk/failures.html", context)


def _show_group(request: HttpRequest, code: str) -> HttpResponse:
    before = request.GET.get("before", "")
    texts = inbox.list_texts(
        code=code, limit=PAGE + 1, before=int(before[:18]) if before.isascii() and before.isdecimal() else None
    )
    newest = texts[0] if texts else None
    context = {
        "title": _("Failures"),
        "reason": code or _NO_CODE,
        "words": explain_code(code, hide_numbers(newest.error_detail) if newest else ""),
        "advice": advise(code, newest.error_kind) if newest else "",
        "texts": [_show_text(text) for text in texts[:PAGE]],
        "older": f"{_address_of(code)}&{urlencode({'before': texts[PAGE - 1].position})}" if texts[PAGE:] else "",
    }
    return _render(request, "desk/failure_group.html", context)


def _show_text(text: Message) -> dict[str, Any]:
    detail = hide_numbers(text.error_detail)
    return {
        "id": text.pk,
        "page": reverse("admin:messaging_message_change", args=[text.pk]),
        "kind": text.get_kind_display(),
        "to": name_of(text.participant) if text.participant else _("somebody in no chat"),
        "chat": short_id(text.chat_id) if text.chat_id else "",
        "chat_page": reverse("admin:chats_chat_change", args=[text.chat_id]) if text.chat_id else "",
        "failed": show_time(text.failed_at),
        # What says no more than the reason of the group is not said again.
        "detail": "" if detail.startswith(explain_code(text.error_code, detail)) else detail,
        "may_have_arrived": text.may_have_arrived or text.error_code in MAY_HAVE_ARRIVED,
        "is_resent": text.earlier_gateway_ids is not None,
        "is_relay": text.kind == Message.Kind.RELAY,
    }


def _act(request: HttpRequest) -> HttpResponse:
    action = request.POST.get("action", "")
    if action not in _Action.values:
        raise Http404("There is no such action.")
    one = _read_id(request.POST.get("message", ""))
    code = _read_code(request.POST.get("reason", ""))
    ids = [one] if one else inbox.list_ids(code=code, limit=inbox.AT_ONCE + 1)
    is_large = len(ids) > inbox.AT_ONCE
    back = _address_of(code) if one else reverse("desk_failures")
    if not ids:
        messages.info(request, _("Nothing failed for this reason any more."))
        return redirect(back)
    if "confirmed" not in request.POST:
        return _confirm(request, action=action, code=code, ids=ids, is_large=is_large, is_one=bool(one), back=back)
    by = operator_of(request)
    if is_large:
        if inbox.see_to_all(action, code=code, by=by, now=timezone.now()):
            messages.success(request, _("The worker goes through them now; this page shows how far it is."))
        else:
            messages.warning(request, _("The worker is still busy with these texts: wait until it has finished."))
        return redirect(reverse("desk_failures"))
    _report(request, action, inbox.see_to(action, ids, by))
    return redirect(back)


def _confirm(
    request: HttpRequest, *, action: str, code: str, ids: list[UUID], is_large: bool, is_one: bool, back: str
) -> HttpResponse:
    """Say what will happen to whom, before anything does."""
    judged = {} if is_large else inbox.foresee(action, ids)
    allowed = [message_id for message_id, refusal in judged.items() if refusal is None]
    people = Message.objects.filter(pk__in=allowed[:_NAMED]).select_related("participant", "relays__participant")
    people = people.defer("body", "stranger_number", "relays__body", "relays__stranger_number")
    count = len(allowed)
    context = {
        "title": _("Failures"),
        "question": _TITLES[_Action(action)](is_one),
        "consequences": _foretell(action, count=count, is_large=is_large),
        "refusals": _count_refusals(judged.values()),
        "people": [_describe_person(text, action) for text in people.order_by("position")],
        "more": max(0, count - _NAMED),
        "action": action,
        "reason": code or _NO_CODE,
        "message": ids[0] if is_one else "",
        "button": _BUTTONS[_Action(action)](),
        "is_possible": is_large or count > 0,
        "back": back,
    }
    return _render(request, "desk/confirm.html", context)


def _title_resend(is_one: bool) -> str:
    return _("Send this text again?") if is_one else _("Send these texts again?")


def _title_tell(is_one: bool) -> str:
    return _("Tell the sender of this text?") if is_one else _("Tell the senders of these texts?")


def _title_tick_off(is_one: bool) -> str:
    return _("Tick this failure off?") if is_one else _("Tick these failures off?")


_TITLES = {_Action.RESEND: _title_resend, _Action.TELL: _title_tell, _Action.TICK_OFF: _title_tick_off}
_BUTTONS = {
    _Action.RESEND: lambda: _("Send again"),
    _Action.TELL: lambda: _("Tell them"),
    _Action.TICK_OFF: lambda: _("Tick off"),
}


def _foretell(action: str, *, count: int, is_large: bool) -> list[str]:
    shown = {"count": say_count(count)}
    if is_large:
        first = {
            _Action.RESEND: _("The worker sends all texts of this reason again, the oldest first."),
            _Action.TELL: _("The worker tells everybody who wrote a text of this reason, at most once an hour each."),
            _Action.TICK_OFF: _("The worker ticks off all texts of this reason."),
        }[_Action(action)]
        kept = _("What may not be sent, because somebody opted out, a chat is not open or a text may have arrived, "
                 "stays here.")  # fmt: skip
        return [first, *([kept] if action != _Action.TICK_OFF else []), *_AFTERWARDS[_Action(action)]()]
    if action != _Action.TICK_OFF and not count:
        return [_("Nothing would happen:")]
    first = {
        _Action.RESEND: ngettext(
            "%(count)s text is sent again, to the person it was for, from the same virtual number.",
            "%(count)s texts are sent again, each to the person it was for, from the same virtual number.",
            count,
        ),
        _Action.TELL: ngettext(
            "Who wrote this text is told that a text of theirs could not be delivered.",
            "Who wrote these %(count)s texts is told that a text of theirs could not be delivered: once, however many.",
            count,
        ),
        _Action.TICK_OFF: ngettext(
            "%(count)s failure disappears from this page, and stays in the message log.",
            "%(count)s failures disappear from this page, and stay in the message log.",
            count,
        ),
    }[_Action(action)]
    return [first % shown, *_AFTERWARDS[_Action(action)]()]


_AFTERWARDS = {
    _Action.RESEND: lambda: [
        _("Whoever opts out until then gets nothing. The senders are told nothing now, nor again should it fail again.")
    ],
    _Action.TELL: lambda: [_("What they wrote is not sent. The failures are ticked off.")],
    _Action.TICK_OFF: lambda: [_("Nobody is told, and nothing is sent.")],
}


def _count_refusals(judged: Iterable[Refusal | None]) -> list[dict[str, Any]]:
    counts = Counter(refusal for refusal in judged if refusal)
    return [{"count": say_count(count), "words": REFUSALS[refusal]} for refusal, count in counts.most_common()]


def _describe_person(text: Message, action: str) -> str:
    person = text.relays.participant if action == _Action.TELL and text.relays else text.participant
    chat = _("chat %(chat)s") % {"chat": short_id(text.chat_id)} if text.chat_id else ""
    return ", ".join(filter(None, [name_of(person), chat, text.get_kind_display()]))


def _report(request: HttpRequest, action: str, judged: Mapping[UUID, Refusal | None]) -> None:
    done = sum(1 for refusal in judged.values() if refusal is None)
    if done:
        sentence = {
            _Action.RESEND: ngettext("%(count)s text is on its way again.", "%(count)s texts are on their way again.",
                                     done),
            _Action.TELL: ngettext("The sender of %(count)s text is told.", "The senders of %(count)s texts are told.",
                                   done),
            _Action.TICK_OFF: ngettext("%(count)s failure is ticked off.", "%(count)s failures are ticked off.", done),
        }[_Action(action)]  # fmt: skip
        messages.success(request, sentence % {"count": say_count(done)})
    for refused in _count_refusals(judged.values()):
        messages.warning(request, _("Not %(count)s: %(why)s") % {"count": refused["count"], "why": refused["words"]})


def _describe_errand(errand: Errand) -> str:
    what = {
        _Action.RESEND: _("Sending again"),
        _Action.TELL: _("Telling senders"),
        _Action.TICK_OFF: _("Ticking off"),
    }[_Action(errand.action)]
    words = _("%(what)s, “%(reason)s”, for %(who)s: %(done)s done, %(refused)s left as they are") % {
        "what": what,
        "reason": explain_code(errand.error_code),
        "who": errand.actor_name,
        "done": say_count(errand.done),
        "refused": say_count(errand.refused),
    }
    return _("%(words)s; finished at %(time)s.") % {"words": words, "time": show_time(errand.finished_at)} if (
        errand.finished_at
    ) else _("%(words)s so far.") % {"words": words}  # fmt: skip


def _address_of(code: str) -> str:
    return f"{reverse('desk_failures')}?{urlencode({'reason': code or _NO_CODE})}"


def _read_code(text: str) -> str:
    return "" if text == _NO_CODE else text[:40].replace("\x00", "")


def _read_id(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Http404("There is no such text.") from None


# --- Set-up --------------------------------------------------------------------------------------------------------


@sensitive_variables("form")
@sensitive_post_parameters("phone_number")
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest) -> HttpResponse:
    """Show what is set up and what is not; and, posted, try one thing."""
    _require(request, "messaging.view_message")
    findings = None
    form = TestTextForm()
    if request.method == "POST":
        match request.POST.get("test"):
            case "account":
                _require(request, "messaging.change_message")
                findings = check(by=operator_of(request), now=timezone.now())
            case "endpoint":
                _require(request, "platforms.change_webhookendpoint")
                for level, words in ping_endpoints(by=operator_of(request), now=timezone.now()):
                    messages.add_message(request, level, words)
                return redirect("desk_setup")
            case "text":
                _require(request, "messaging.change_message")
                form = TestTextForm(request.POST)
                if form.is_valid():
                    level, words = send_test_text(form.cleaned_data["phone_number"], by=operator_of(request))
                    messages.add_message(request, level, words)
                    return redirect("desk_setup")
                # It is not shown again, not even to whoever typed it.
                form.data = {}
            case _:
                raise Http404("There is no such test.")
    now = timezone.now()
    installation = read_installation(week=read_week(now=now), now=now)
    steps = list_steps(installation=installation)
    context = {
        "title": _("Set-up"),
        "steps": steps,
        "left": sum(1 for step in steps if step.state != "done"),
        "findings": findings,
        "form": form,
        "may_test": request.user.has_perm("messaging.change_message"),
        "may_ping": request.user.has_perm("platforms.change_webhookendpoint") and installation.has_endpoint,
        "may_text": request.user.has_perm("messaging.change_message") and installation.has_number,
    }
    return _render(request, "desk/setup.html", context)


def _render(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context})


def _require(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(permission):
        raise PermissionDenied
