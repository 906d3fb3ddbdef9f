"""The audit log as operators see it: to be read, and nothing else."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from audit.models import AuditEntry
from operators.desk_admin import ReadOnlyAdmin, UncountedList


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin, UncountedList):
    list_display = ("at", "who", "action", "object_", "reason")
    list_filter = ("actor_kind", "action", "object_type")
    search_fields = ("=actor_name", "=object_id", "=request_id")
    search_help_text = _("User name, object id or request id")
    date_hierarchy = "at"
    list_per_page = 100
    actions = None
    empty_state = _("Nothing was done yet.")
    fields = ("at", "who", "action", "object_type", "object_id", "fields", "reason", "request_id", "id")

    @display(description=_("Who"))
    def who(self, entry: AuditEntry) -> str:
        if entry.actor_kind == AuditEntry.ActorKind.COMMAND:
            return f"manage.py {entry.actor_name}" + (f", run by {entry.actor_id}" if entry.actor_id else "")
        return entry.actor_name or entry.get_actor_kind_display()

    @display(description=_("Object"))
    def object_(self, entry: AuditEntry) -> str:
        return f"{entry.object_type} {entry.object_id}".strip() or "-"
