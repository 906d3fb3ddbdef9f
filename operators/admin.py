"""The pages of those who may use this admin: users, and groups, of which the roles are kept by a table."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from audit.admin_mixin import AuditedAdmin
from operators.desk_admin import SaysWhatIsDeleted
from operators.others_changes import NoticesOthersChanges
from operators.roles import ROLES

admin.site.unregister(User)
admin.site.unregister(Group)

# What would make of an administrator somebody who may do all, without a role that says so.
_BEYOND_ROLES = ("is_superuser", "user_permissions")


@admin.register(User)
class UserAdmin(AuditedAdmin, NoticesOthersChanges, DjangoUserAdmin, ModelAdmin):  # type: ignore[misc]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "first_name", "last_name", "roles", "is_active", "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may do all is changed only by one who may, too: else a new password would be a way to it."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (request.user.is_superuser or not getattr(obj, "is_superuser", False))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Make a user inactive instead: the record of what they did would go with them."""
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        readonly = super().get_readonly_fields(request, obj)
        return readonly if request.user.is_superuser else (*readonly, *_BEYOND_ROLES)

    @admin.display(description=_("Groups"))
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "-"


@admin.register(Group)
class GroupAdmin(AuditedAdmin, NoticesOthersChanges, SaysWhatIsDeleted, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    # One at a time, after a look at it.
    actions = None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A role is what operators/roles.py says: who wants another makes a group beside it."""
        return super().has_change_permission(request, obj) and not _is_role(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and not _is_role(obj)

    def describe_deletion(self, row: Group) -> Sequence[str]:
        people = row.user_set.count()
        words = ngettext(
            "%(group)s: %(number)s user may no longer do what only this group lets them.",
            "%(group)s: %(number)s users may no longer do what only this group lets them.",
            people,
        )
        return [words % {"group": row.name, "number": people}]


def _is_role(group: Any) -> bool:
    return isinstance(group, Group) and group.name in ROLES
