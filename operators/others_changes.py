"""Who saves a page is told what others have changed since they opened it, before anything is overwritten.

A page carries, signed, a digest of each field that it shows. When it is saved and the row no longer has the same
values, nothing is saved: the page comes back with what others made of it and what this operator has typed, and saving
it again is then a decision. docs/decisions/0028-roles.md
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.forms.models import InlineForeignKeyField, ModelChoiceField, ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.encoding import force_str
from django.utils.formats import date_format, localize
from django.utils.text import capfirst, get_text_list
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from audit.models import AuditEntry

TOKEN = "_shown"
_SALT = "operators.others_changes"
# An entry has the time at which its transaction began, and perhaps of another clock.
_CLOCKS_DIFFER = timedelta(seconds=30)
_MOST_CHANGES = 5

Digests = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ShownPage:
    """What an operator saw when they opened a page: digests of its fields, and of those of each row of its tables."""

    row: models.Model
    at: datetime
    fields: Digests
    rows: Mapping[str, Mapping[str, Digests]]
    viewer_id: str


class NoticesOthersChanges:
    """Among the bases of a ModelAdmin, before unfold's."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if request.method == "POST" and transaction.get_connection().in_atomic_block:
            # Of two who save at the same time, the second sees what the first has saved.
            _lock(self.model, object_id)  # type: ignore[attr-defined]
        return super().get_object(request, object_id, from_field)  # type: ignore[misc]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        page = _read_page(request, obj) if change else None
        if page is None:
            return form
        return type(form.__name__, (_NoticingForm, form), {"page": page, "shown": page.fields})

    def get_formsets_with_inlines(self, request: HttpRequest, obj: Any = None) -> Iterator[tuple[Any, Any]]:
        page = _read_page(request, obj)
        for formset, inline in super().get_formsets_with_inlines(request, obj):  # type: ignore[misc]
            if page is not None:
                form = type(formset.form.__name__, (_NoticingForm, formset.form), {"page": page})
                formset = type(formset.__name__, (_NoticingFormSet, formset), {"page": page, "form": form})
            yield formset, inline

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if obj and self.has_change_permission(request, obj):  # type: ignore[attr-defined]
            context["shown_token"] = _sign_page(obj, context["adminform"].form, context["inline_admin_formsets"])
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]


class _NoticingForm:
    """Refuses once what would overwrite a change of somebody else."""

    page: ShownPage
    shown: Digests = {}

    def clean(self: Any) -> Any:
        super().clean()  # type: ignore[misc]
        self.taken_over: set[str] = set()
        now = _digest_fields(self)
        changed = [name for name, digest in now.items() if self.shown.get(name, digest) != digest]
        refused = []
        for name in changed:
            typed = _digest(self.cleaned_data[name]) if name in self.cleaned_data else ""
            if typed != now[name]:
                refused.append(name)
                self._refuse(name, is_touched=typed != self.shown[name])
        if refused:
            labels = [force_str(self[name].label) for name in refused]
            self.add_error(None, _describe_changes(self.page, self.instance, labels))
        return self.cleaned_data

    def _refuse(self: Any, name: str, *, is_touched: bool) -> None:
        values = {"value": _show_value(self, name)}
        if is_touched:
            words = _("Somebody else has changed this to “%(value)s”. Below is what you typed: save it, or change it.")
        else:
            self.taken_over.add(self.add_prefix(name))
            words = _("Somebody else has changed this to “%(value)s”, which is kept when you save.")
        self.add_error(name, ValidationError(words % values, code="changed_by_others"))

    def _widget_data_value(self: Any, widget: Any, html_name: str) -> Any:
        # A field that this operator left alone shows, and saves the next time, what the others made of it.
        for name in self.fields if html_name in getattr(self, "taken_over", ()) else ():
            if self.add_prefix(name) == html_name:
                return self.fields[name].prepare_value(self.get_initial_for_field(self.fields[name], name))
        return super()._widget_data_value(widget, html_name)  # type: ignore[misc]


class _NoticingFormSet:
    page: ShownPage

    def _construct_form(self: Any, i: int, **kwargs: Any) -> Any:
        form = super()._construct_form(i, **kwargs)  # type: ignore[misc]
        form.shown = self._shown_of(form)
        return form

    def clean(self: Any) -> None:
        super().clean()  # type: ignore[misc]
        there = {str(row.pk) for row in self.get_queryset()}
        problems = []
        if any(pk not in there for pk in self.page.rows.get(self.prefix, ())):
            problems.append(
                _(
                    "Somebody else has deleted a row of this table. What you typed in it is still here: to keep it, "
                    "copy it to a new row; then mark the old one to be deleted."
                )
            )
        for form in self.initial_forms:
            now = _digest_fields(form) if self._should_delete_form(form) else {}
            labels = [force_str(form[name].label) for name in now if form.shown.get(name, now[name]) != now[name]]
            if labels:
                problems.append(_describe_changes(self.page, form.instance, labels))
        if problems:
            raise ValidationError(problems)

    def _shown_of(self: Any, form: Any) -> Digests:
        return self.page.rows.get(self.prefix, {}).get(str(form.instance.pk), {})


def _sign_page(row: models.Model, form: Any, inline_formsets: Iterable[Any]) -> str:
    rows = {
        inline.formset.prefix: {
            str(each.instance.pk): _digest_fields(each)
            for each in inline.formset.initial_forms
            if not each.instance._state.adding
        }
        for inline in inline_formsets
    }
    shown = {"at": timezone.now().timestamp(), "fields": _digest_fields(form), "rows": rows}
    return signing.dumps(shown, salt=_salt_of(row), compress=True)


def _read_page(request: HttpRequest, row: models.Model | None) -> ShownPage | None:
    """Return what the page showed that is being saved; None when there is none, or it is not from a page of ours."""
    token = request.POST.get(TOKEN)
    if token is None or row is None:
        return None
    try:
        shown = signing.loads(token, salt=_salt_of(row))
    except signing.BadSignature:
        # Of another row, or of another key: as if all of it had changed.
        shown = {"at": timezone.now().timestamp(), "fields": dict.fromkeys(_all_fields(row), ""), "rows": {}}
    return ShownPage(
        row=row,
        at=datetime.fromtimestamp(shown["at"], UTC),
        fields=shown["fields"],
        rows=shown["rows"],
        viewer_id=str(request.user.pk),
    )


def _salt_of(row: models.Model) -> str:
    return f"{_SALT}:{row._meta.label_lower}:{row.pk}"


def _all_fields(row: models.Model) -> list[str]:
    return [field.name for field in (*row._meta.fields, *row._meta.many_to_many)]


def _lock(model: type[models.Model], object_id: str) -> None:
    try:
        pk = model._meta.pk.to_python(object_id)
    except ValidationError:
        return
    # Whoever refers to the row need not wait.
    list(model._base_manager.select_for_update(no_key=True).filter(pk=pk).values_list("pk"))


def _digest_fields(form: Any) -> dict[str, str]:
    """Return a digest of what the database has for each field of a form, whatever was typed."""
    return {
        name: _digest(form.get_initial_for_field(field, name))
        for name, field in form.fields.items()
        if name in form.initial and not field.disabled and not _names_row(form, name, field)
    }


def _names_row(form: Any, name: str, field: forms.Field) -> bool:
    return isinstance(field, InlineForeignKeyField) or name == form._meta.model._meta.pk.name


def _digest(value: Any) -> str:
    return hashlib.sha256(_write_out(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _write_out(value: Any) -> str:
    """Return a value in one way, whether it comes from the database or from a form."""
    if value is None:
        return ""
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, datetime):
        # Forms show no fractions.
        return value.astimezone(UTC).replace(microsecond=0).isoformat()
    if isinstance(value, (list, tuple, set, frozenset, models.QuerySet)):
        return "\n".join(sorted(_write_out(each) for each in value))
    return str(value).replace("\r\n", "\n").strip()


def _show_value(form: Any, name: str) -> str:
    """Return what the database has for a field, in words."""
    field, value = form.fields[name], form.get_initial_for_field(form.fields[name], name)
    if isinstance(field, ModelMultipleChoiceField):
        shown = get_text_list([field.label_from_instance(each) for each in value or ()], _("and"))
    elif isinstance(field, ModelChoiceField):
        rows: Any = field.queryset
        row = rows.filter(pk=value).first() if value is not None else None
        shown = field.label_from_instance(row) if row else ""
    elif isinstance(value, bool):
        shown = _("yes") if value else _("no")
    elif isinstance(value, (list, tuple)):
        shown = ", ".join(str(each) for each in value)
    elif isinstance(value, datetime):
        shown = date_format(localtime(value), "DATETIME_FORMAT")
    else:
        labels = {str(key): label for key, label in getattr(field, "choices", ())}
        shown = str(labels.get(str(value), localize(value) if value is not None else ""))
    return shown or _("(empty)")


def _describe_changes(page: ShownPage, row: models.Model, labels: list[str]) -> str:
    """Return who changed which fields of `row` and when, as the audit log knows."""
    since = page.at - _CLOCKS_DIFFER
    entries = AuditEntry.objects.filter(object_type=row._meta.label_lower, object_id=str(row.pk), at__gte=since)
    who = [
        f"{_name_actor(entry, page)} ({date_format(localtime(entry.at), 'DATETIME_FORMAT')})"
        for entry in entries.order_by("-at", "-id")[:_MOST_CHANGES]
    ]
    return _(
        "Since you opened this page, something was changed: %(fields)s. By: %(who)s. Nothing was saved, and nothing "
        "that you typed is lost. Look at it, and save again."
    ) % {"fields": ", ".join(capfirst(label) for label in labels), "who": ", ".join(who) or _("the service itself")}


def _name_actor(entry: AuditEntry, page: ShownPage) -> str:
    if entry.actor_kind == AuditEntry.ActorKind.OPERATOR and entry.actor_id == page.viewer_id:
        return _("you, in another window")
    if entry.actor_kind == AuditEntry.ActorKind.COMMAND:
        return f"manage.py {entry.actor_name}"
    return entry.actor_name or entry.get_actor_kind_display()
