"""What the pages of the admin are built from: each takes of these what it is, and says only what is its own."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from audit.admin_mixin import AuditedAdmin
from operators.others_changes import NoticesOthersChanges


class SaysWhatIsDeleted:
    """Among the bases of a ModelAdmin, before unfold's: asks before it deletes, and says what that does to whom."""

    def describe_deletion(self, row: Any) -> Sequence[str]:
        """Return what becomes of whom when `row` is deleted."""
        return ()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        deleted, *others = super().get_deleted_objects(objs, request)  # type: ignore[misc]
        return [line for row in objs for line in self.describe_deletion(row)] or deleted, *others


class DeskAdmin(AuditedAdmin, NoticesOthersChanges, SaysWhatIsDeleted, ModelAdmin):
    """A page of the admin: what is done there is recorded, and overwrites nobody's change unseen."""


class ReadOnlyAdmin(ModelAdmin):
    """First among the bases: nothing is added, changed or deleted by forms, whatever somebody may."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class UncountedList(ModelAdmin):
    """A list of what may be millions of rows: it never counts them, and has one order."""

    list_per_page = 50
    sortable_by: Any = ()
    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
