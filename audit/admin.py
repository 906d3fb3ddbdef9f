"""The audit log as operators see it: to be read, and nothing else."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from audit.models import AuditEntry


@admin.register(AuditEntry)
class AuditEntryAdmin(ModelAdmin):
    list_display = ("at", "who", "action", "object_", "reason")
    list_filter = ("actor_kind", "action", "object_type")
    search_fields = ("=actor_name", "=object_id", "=request_id")
    search_help_text = "User name, object id or request id"
    date_hierarchy = "at"
    list_per_page = 100
    sortable_by = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = None
    empty_state = "Nothing was done yet."
    fields = ("at", "who", "action", "object_type", "object_id", "fields", "reason", "request_id", "id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        return False

    @display(description="Who")
    def who(self, entry: AuditEntry) -> str:
        if entry.actor_kind == AuditEntry.ActorKind.COMMAND:
            return f"manage.py {entry.actor_name}" + (f", run by {entry.actor_id}" if entry.actor_id else "")
        return entry.actor_name or entry.get_actor_kind_display()

    @display(description="Object")
    def object_(self, entry: AuditEntry) -> str:
        return f"{entry.object_type} {entry.object_id}".strip() or "-"
