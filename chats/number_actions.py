"""Activate, reserve, drain and retire virtual numbers in the admin, after saying what will happen to whom."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action
from unfold.enums import ActionVariant

from audit.log import operator_of, record_all
from audit.models import Action
from chats.models import VirtualNumber
from chats.services import change_number_states, count_chats

State = VirtualNumber.State
# So many are named on the page that asks.
_NAMED = 50

_ADJECTIVES = {
    State.ACTIVE: gettext_lazy("active"),
    State.RESERVED: gettext_lazy("reserved"),
    State.DRAINING: gettext_lazy("draining"),
    State.RETIRED: gettext_lazy("retired"),
}
_VERBS = {
    State.ACTIVE: gettext_lazy("Activate"),
    State.RESERVED: gettext_lazy("Reserve"),
    State.DRAINING: gettext_lazy("Drain"),
    State.RETIRED: gettext_lazy("Retire"),
}


class NumberActions:
    """First among the bases of the page of virtual numbers."""

    @action(description=gettext_lazy("Activate"), permissions=["change"], icon="play_arrow")
    def activate_numbers(self, request: HttpRequest, queryset: QuerySet[VirtualNumber]) -> HttpResponse | None:
        return self._move_or_confirm(request, list(queryset), State.ACTIVE, action="activate_numbers")

    @action(description=gettext_lazy("Reserve"), permissions=["change"], icon="bookmark")
    def reserve_numbers(self, request: HttpRequest, queryset: QuerySet[VirtualNumber]) -> HttpResponse | None:
        return self._move_or_confirm(request, list(queryset), State.RESERVED, action="reserve_numbers")

    @action(description=gettext_lazy("Drain"), permissions=["change"], icon="hourglass_bottom")
    def drain_numbers(self, request: HttpRequest, queryset: QuerySet[VirtualNumber]) -> HttpResponse | None:
        return self._move_or_confirm(request, list(queryset), State.DRAINING, action="drain_numbers")

    @action(description=gettext_lazy("Retire"), permissions=["change"], icon="block")
    def retire_numbers(self, request: HttpRequest, queryset: QuerySet[VirtualNumber]) -> HttpResponse | None:
        return self._move_or_confirm(request, list(queryset), State.RETIRED, action="retire_numbers")

    @action(description=gettext_lazy("Activate"), permissions=["change"], url_path="activate", icon="play_arrow")
    def activate_number(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._move_one(request, object_id, State.ACTIVE)

    @action(description=gettext_lazy("Reserve"), permissions=["change"], url_path="reserve", icon="bookmark")
    def reserve_number(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._move_one(request, object_id, State.RESERVED)

    @action(description=gettext_lazy("Drain"), permissions=["change"], url_path="drain", icon="hourglass_bottom")
    def drain_number(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._move_one(request, object_id, State.DRAINING)

    @action(
        description=gettext_lazy("Retire"),
        permissions=["change"],
        url_path="retire",
        icon="block",
        variant=ActionVariant.DANGER,
    )
    def retire_number(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._move_one(request, object_id, State.RETIRED)

    def _move_one(self, request: HttpRequest, object_id: str, state: State) -> HttpResponse:
        number = self.get_object(request, object_id)  # type: ignore[attr-defined]
        if number is None:
            raise Http404("There is no such virtual number.")
        done = self._move_or_confirm(request, [number], state)
        return done or redirect("admin:chats_virtualnumber_change", number.pk)

    def _move_or_confirm(
        self, request: HttpRequest, numbers: Sequence[VirtualNumber], state: State, *, action: str = ""
    ) -> HttpResponse | None:
        """Move `numbers` when that was confirmed, else say what it would do; None when they are moved."""
        if request.method == "POST" and "confirmed" in request.POST:
            self._move(request, numbers, state)
            return None
        others = [number for number in numbers if number.state != state]
        chats = count_chats([number.pk for number in others])
        movable = [number for number in others if state != State.RETIRED or not chats.get(number.pk)]
        verb = _VERBS[state]
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "opts": self.opts,  # type: ignore[attr-defined]
            "title": ngettext(
                "%(verb)s this virtual number?", "%(verb)s these %(count)s virtual numbers?", len(numbers)
            )
            % {"verb": verb, "count": len(numbers)},
            "consequences": [
                *_foretell(state, numbers=numbers, others=others, movable=movable, chats=sum(chats.values())),
                *_foretell_pools(state, movable),
            ],
            "rows": [_describe(number, chats.get(number.pk, 0), state) for number in numbers[:_NAMED]],
            "more": max(0, len(numbers) - _NAMED),
            "selected": [number.pk for number in numbers] if action else [],
            "action": action,
            "is_possible": bool(movable),
            "button": verb,
            "is_danger": state == State.RETIRED,
            "back": reverse("admin:chats_virtualnumber_changelist")
            if action
            else reverse("admin:chats_virtualnumber_change", args=[numbers[0].pk]),
        }
        return TemplateResponse(request, "chats/number_confirm.html", context)

    def _move(self, request: HttpRequest, numbers: Sequence[VirtualNumber], state: State) -> None:
        with transaction.atomic():
            changed = change_number_states(number_ids=[number.pk for number in numbers], state=state)
            record_all(action=Action.CHANGED, by=operator_of(request), on=changed.moved, fields=["state"])
            if changed.moved:
                # For the history on each number's page.
                self.log_many(request, changed.moved, _("Made %(state)s") % {"state": _ADJECTIVES[state]})
        if moved := len(changed.moved):
            messages.success(
                request,
                ngettext("%(count)s virtual number is %(state)s now.", "%(count)s virtual numbers are %(state)s now.",
                         moved) % {"count": moved, "state": _ADJECTIVES[state]},
            )  # fmt: skip
        if changed.in_use:
            words = ngettext(
                "%(count)s is not retired: a chat that has not ended uses it. Drain it, and retire it later.",
                "%(count)s are not retired: chats that have not ended use them. Drain them, and retire them later.",
                len(changed.in_use),
            )
            messages.warning(request, words % {"count": len(changed.in_use)})
        if not changed.moved and not changed.in_use:
            messages.info(request, _("Nothing changed: that had been done before."))

    def log_many(self, request: HttpRequest, numbers: Sequence[VirtualNumber], words: str) -> None:
        raise NotImplementedError


def _foretell(
    state: State,
    *,
    numbers: Sequence[VirtualNumber],
    others: Sequence[VirtualNumber],
    movable: Sequence[VirtualNumber],
    chats: int,
) -> Iterator[str]:
    if not others:
        yield _("Nothing would change: that is what they are.")
        return
    if not movable:
        yield _("Nothing would change: chats that have not ended use them. Drain them, and retire them later.")
        return
    going_on = (
        ngettext(
            "The chat on it that has not ended goes on as before.",
            "The %(count)s chats on them that have not ended go on as before.",
            chats,
        )
        % {"count": number_format(chats, force_grouping=True)}
        if chats
        else _("No chat uses them now.")
    )
    match state:
        case State.ACTIVE:
            yield _("New chats are given these numbers from now on.")
            yield going_on
            if ailing := sum(1 for number in movable if number.missing_since or number.unlinked_since):
                yield ngettext(
                    "%(count)s of them has a problem at the gateway: it is only given when there is no other.",
                    "%(count)s of them have a problem at the gateway: they are only given when there are no others.",
                    ailing,
                ) % {"count": ailing}
        case State.RESERVED:
            yield _("New chats get them only when a platform asks for them by name.")
            yield going_on
        case State.DRAINING:
            yield _("No new chat gets them; when the last of their chats has ended, they can be retired.")
            yield going_on
        case State.RETIRED:
            yield _("Retired numbers take no chats any more, and what people text to them reaches nobody.")
            if in_use := len(others) - len(movable):
                yield ngettext(
                    "%(count)s is left as it is: chats that have not ended use it. Drain it first.",
                    "%(count)s are left as they are: chats that have not ended use them. Drain them first.",
                    in_use,
                ) % {"count": in_use}
            if movable:
                yield _("Give them back to the carrier only after their people have cooled down from them.")
    if same := len(numbers) - len(others):
        yield ngettext("%(count)s is that already.", "%(count)s are that already.", same) % {"count": same}


def _foretell_pools(state: State, movable: Sequence[VirtualNumber]) -> Iterator[str]:
    """Say how many active numbers are left, where these take some away."""
    leaving = Counter(number.platform_id for number in movable if number.state == State.ACTIVE)
    if state == State.ACTIVE or not leaving:
        return
    active = VirtualNumber.objects.filter(state=State.ACTIVE, platform__in=[each for each in leaving if each])
    shared = VirtualNumber.objects.filter(state=State.ACTIVE, platform=None)
    rows = (active | shared if None in leaving else active).order_by()
    counted = rows.values_list("platform", "platform__name").annotate(numbers=Count("pk"))
    for platform_id, name, numbers in sorted(counted, key=lambda row: row[1] or ""):
        left = numbers - leaving[platform_id]
        words = ngettext("%(whose)s: %(left)s active number is left.", "%(whose)s: %(left)s active numbers are left.",
                         left)  # fmt: skip
        yield words % {"whose": name or _("Shared by all platforms"), "left": number_format(left)}
        if not left and name is None:
            yield _("Platforms without numbers of their own cannot open chats then.")


def _describe(number: VirtualNumber, chats: int, state: State) -> dict[str, Any]:
    open_chats = ngettext("%(count)s chat that has not ended", "%(count)s chats that have not ended", chats) % {
        "count": number_format(chats, force_grouping=True)
    }
    if number.state == state:
        becomes = _("is %(state)s already") % {"state": _ADJECTIVES[state]}
    elif state == State.RETIRED and chats:
        becomes = _("stays %(state)s") % {"state": _ADJECTIVES[State(number.state)]}
    else:
        becomes = f"{_ADJECTIVES[State(number.state)]} → {_ADJECTIVES[state]}"
    whose = number.platform.name if number.platform else _("shared by all platforms")
    return {"title": number.number, "lines": [f"{becomes} · {open_chats} · {whose}"]}
