"""The pages that bring many virtual numbers in: a pasted list or a CSV, and the sync with the account at Vonage."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from audit.log import operator_of, record
from audit.models import Action
from chats.models import VirtualNumber
from chats.number_import import MOST_LINES, CannotRead, Changed, Report, add_list, judge_list, read_list
from chats.number_sync import ChangeKind, SuspiciousAnswer, sync_virtual_numbers
from chats.services import find_existing
from chats.transcript import show_time
from messaging.gateways import AccountError
from messaging.gateways.vonage_account import VonageAccount
from messaging.models import GatewayAccount
from messaging.pauses import ACCOUNT
from platforms.models import Platform

State = VirtualNumber.State

# A list of MOST_LINES with every column filled has half of it.
_LARGEST_FILE = 1024 * 1024
_SALT = "chats.number_adding"
_CONFIRM_WITHIN_SECONDS = 3600
_TONES = {
    ChangeKind.ADDED: "good",
    ChangeKind.BACK: "good",
    ChangeKind.LINKED: "good",
    ChangeKind.CHANGED: "quiet",
    ChangeKind.REFUSED: "danger",
    ChangeKind.MISSING: "danger",
    ChangeKind.UNLINKED: "danger",
}


class ListForm(forms.Form):
    lines = forms.CharField(
        required=False,
        strip=False,
        label=gettext_lazy("Numbers"),
        widget=UnfoldAdminTextareaWidget(
            attrs={"rows": 10, "spellcheck": "false", "placeholder": "+14155550100\n+14155550101,US,10,segments,Rides"}
        ),
        help_text=gettext_lazy(
            "One number a line, or number, country, rate, paced_by and platform between commas; all but the number may "
            "be left out, and a first line may name the columns."
        ),
    )
    file = forms.FileField(
        required=False,
        label=gettext_lazy("Or a CSV file"),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt,text/csv"}),
    )
    platform = forms.ModelChoiceField(
        Platform.objects.all(),
        required=False,
        empty_label=gettext_lazy("shared by all platforms"),
        label=gettext_lazy("Lines that name no platform"),
        widget=UnfoldAdminSelectWidget,
    )
    state = forms.ChoiceField(
        choices=[
            (State.ACTIVE.value, gettext_lazy("active: new chats are given them at once")),
            (State.RESERVED.value, gettext_lazy("reserved: only given when asked for by name")),
        ],
        label=gettext_lazy("They come in"),
        widget=UnfoldAdminSelectWidget,
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        file, lines = given.get("file"), given.get("lines", "")
        if file and lines.strip():
            raise forms.ValidationError(_("Paste the numbers or choose a file, not both."))
        if file:
            lines = _read_file(file)
        if not lines.strip() and not self.errors:
            raise forms.ValidationError(_("Paste at least one number, or choose a file."))
        if not self.errors:
            try:
                given["entries"] = read_list(lines)
            except CannotRead as error:
                raise forms.ValidationError(str(error)) from None
        return given


class NumberAdding:
    """First among the bases of the page of virtual numbers."""

    def has_sync_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user = request.user
        return user.has_perm("chats.add_virtualnumber") and user.has_perm("chats.change_virtualnumber")

    # --- A list ----------------------------------------------------------------------------------------------------

    @action(description=gettext_lazy("Add many"), permissions=["add"], url_path="add-many", icon="playlist_add")
    def add_many(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST" and "confirmed" in request.POST:
            return self._add(request, request.POST["confirmed"])
        form = ListForm(request.POST or None, request.FILES or None)
        if request.method != "POST" or not form.is_valid():
            most = number_format(MOST_LINES, force_grouping=True)
            context = {"title": _("Add many virtual numbers"), "form": form, "most": most}
            return self._render(request, "chats/number_list.html", context)
        given = form.cleaned_data
        state, platform = State(given["state"]), given["platform"]
        report = judge_list(given["entries"], state=state, platform=platform)
        return self._show_report(request, report, entries=given["entries"], state=state, platform=platform)

    def _show_report(
        self,
        request: HttpRequest,
        report: Report,
        *,
        entries: list[dict[str, str]],
        state: State,
        platform: Platform | None,
        has_changed: bool = False,
    ) -> HttpResponse:
        """Show each line and what would become of it; nothing has been added yet."""
        told = {
            "entries": entries,
            "state": state.value,
            "platform": str(platform.pk) if platform else "",
            "fingerprint": report.fingerprint,
            "added": [row.number for row in report.rows],
        }
        count, refused = len(report.rows), len(report.refused)
        context = {
            "title": _("Add these virtual numbers?"),
            "report": report,
            "has_changed": has_changed,
            "count": number_format(count, force_grouping=True),
            "refused": number_format(refused, force_grouping=True),
            "state": state,
            # Signed, so that what is added is what was shown.
            "confirmed": signing.dumps(told, salt=_SALT, compress=True) if count else "",
            "button": ngettext("Add %(count)s number", "Add %(count)s numbers", count)
            % {"count": number_format(count, force_grouping=True)},
        }
        return self._render(request, "chats/number_report.html", context)

    def _add(self, request: HttpRequest, confirmed: str) -> HttpResponse:
        try:
            told = signing.loads(confirmed, salt=_SALT, max_age=_CONFIRM_WITHIN_SECONDS)
        except signing.BadSignature:
            messages.error(request, _("That was shown too long ago. Nothing was added: paste the numbers again."))
            return redirect("admin:chats_virtualnumber_add_many")
        platform = Platform.objects.filter(pk=told["platform"]).first() if told["platform"] else None
        state = State(told["state"])
        try:
            report = add_list(
                told["entries"],
                state=state,
                platform=platform,
                fingerprint=told["fingerprint"],
                by=operator_of(request),
            )
        except Changed as changed:
            if set(told["added"]) <= find_existing(told["added"]):
                messages.info(request, _("These numbers had been added already; nothing was added twice."))
                return redirect("admin:chats_virtualnumber_changelist")
            return self._show_report(
                request, changed.report, entries=told["entries"], state=state, platform=platform, has_changed=True
            )
        count = len(report.rows)
        messages.success(
            request,
            ngettext("Added %(count)s virtual number.", "Added %(count)s virtual numbers.", count)
            % {"count": number_format(count, force_grouping=True)},
        )
        if refused := len(report.refused):
            words = ngettext("%(count)s line was left out.", "%(count)s lines were left out.", refused)
            messages.warning(request, words % {"count": number_format(refused, force_grouping=True)})
        return redirect("admin:chats_virtualnumber_changelist")

    # --- The sync --------------------------------------------------------------------------------------------------

    @action(description=gettext_lazy("Sync with Vonage"), permissions=["sync"], url_path="sync", icon="sync")
    def sync(self, request: HttpRequest) -> HttpResponse:
        context: dict[str, Any] = {"title": _("Sync with Vonage"), "is_done": False, "error": "", "is_empty": False}
        if request.method == "POST":
            try:
                changes = sync_virtual_numbers(
                    account=VonageAccount(), now=timezone.now(), allow_empty="allow_empty" in request.POST
                )
            except SuspiciousAnswer as error:
                context |= {"error": _(str(error)), "is_empty": True}
            except AccountError as error:
                context["error"] = _(str(error.detail))
            else:
                # After the change: the sync commits number by number, since it holds no transaction while it asks.
                record(action=Action.SYNCED_NUMBERS, by=operator_of(request))
                by_number = dict(
                    VirtualNumber.objects.filter(number__in={change.number for change in changes}).values_list(
                        "number", "pk"
                    )
                )
                context |= {
                    "is_done": True,
                    "changes": [
                        {
                            "number": change.number,
                            "words": _(change.sentence),
                            "tone": _TONES[change.kind],
                            "page": reverse("admin:chats_virtualnumber_change", args=[by_number[change.number]])
                            if change.number in by_number
                            else "",
                        }
                        for change in changes
                    ],
                }
        account = GatewayAccount.objects.filter(name=ACCOUNT).only("numbers_read_at").first()
        context["last"] = show_time(account.numbers_read_at) if account else None
        return self._render(request, "chats/number_sync.html", context)

    def _render(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        base = {**self.admin_site.each_context(request), "opts": self.opts}  # type: ignore[attr-defined]
        base["back"] = reverse("admin:chats_virtualnumber_changelist")
        return TemplateResponse(request, template, {**base, **context})


def _read_file(file: Any) -> str:
    if file.size > _LARGEST_FILE:
        raise forms.ValidationError(_("The file is too large."))
    content = file.read()
    # What spreadsheets write, the latter on Windows.
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text: str = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise forms.ValidationError(_("This is no text file. Save the sheet as CSV."))
