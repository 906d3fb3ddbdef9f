"""What every page of the admin has in common: what is done there is recorded, in the same transaction."""

from typing import Any

from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from audit.log import operator_of, record, record_all
from audit.models import Action


class AuditedAdmin:
    """First among the bases of a ModelAdmin.

    Django's own log of the admin goes on: it is the history on an object's page, and this the record of it.
    """

    # Reading an object's page is recorded as this.
    reading: Action | None = None
    # Adding an object is recorded as this.
    adding = Action.ADDED

    def log_addition(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        record(action=self.adding, by=operator_of(request), on=obj)
        return super().log_addition(request, obj, message)  # type: ignore[misc]

    def log_change(self, request: HttpRequest, obj: models.Model, message: Any) -> Any:
        record(action=Action.CHANGED, by=operator_of(request), on=obj, fields=_name_fields(message))
        return super().log_change(request, obj, message)  # type: ignore[misc]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        record_all(action=Action.DELETED, by=operator_of(request), on=list(queryset))
        return super().log_deletions(request, queryset)  # type: ignore[misc]

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Record each object of an inline for itself, as if it had been changed on a page of its own."""
        by = operator_of(request)
        # Now, while they have an id. One that was never saved is not deleted either.
        rows = [each.instance for each in formset.deleted_forms if each in formset.initial_forms]
        # What another has deleted before is not there any more.
        deleted = [row for row in rows if not row._state.adding]
        record_all(action=Action.DELETED, by=by, on=deleted)
        super().save_formset(request, form, formset, change)  # type: ignore[misc]
        record_all(action=Action.ADDED, by=by, on=formset.new_objects)
        for each, fields in formset.changed_objects:
            record(action=Action.CHANGED, by=by, on=each, fields=fields)

    def log_action(
        self,
        request: HttpRequest,
        obj: models.Model,
        action: Action,
        *,
        on: models.Model | None = None,
        reason: str = "",
        words: str = "",
    ) -> None:
        """Record what was done to an object, or to `on` that belongs to it, in another way than by its form.

        `words` are for the object's history.
        """
        record(action=action, by=operator_of(request), on=on or obj, reason=reason)
        if words:
            super().log_change(request, obj, words)  # type: ignore[misc]

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        if request.POST.get("action") != "delete_selected":
            # These say for themselves what belongs into one transaction.
            return super().response_action(request, queryset)  # type: ignore[misc]
        with transaction.atomic():
            return super().response_action(request, queryset)  # type: ignore[misc]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, obj: Any = None, **kwargs: Any
    ) -> HttpResponse:
        if self.reading and obj:
            record(action=self.reading, by=operator_of(request), on=obj)
        return super().render_change_form(request, context, *args, obj=obj, **kwargs)  # type: ignore[misc]


def _name_fields(message: Any) -> list[str]:
    """Return which fields of the object itself a message of Django's says were changed."""
    if not isinstance(message, list):
        return []
    parts = (part.get("changed") or part.get("added") or part.get("deleted") or {} for part in message)
    # What has a name is an object of an inline.
    return [field for part in parts if "name" not in part for field in part.get("fields", ())]
