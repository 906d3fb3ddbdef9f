"""Which role may do what at the desk: groups that follow this table (docs/decisions/0028-roles.md).

Each role may do what the one before it may, and more. Who needs something else gets a group of their own beside these.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import apps as global_apps

# What each role may do beyond the one before it: "app.permission". Add to it what a new page or action asks for.
ROLES: dict[str, tuple[str, ...]] = {
    # Support: what became of a chat and its texts. No digit of anybody's number, and nothing that was written.
    "viewer": (
        "chats.view_chat",
        "messaging.view_message",
        "messaging.view_attachment",
        "messaging.view_optout",
        "platforms.view_event",
    ),
    # Works with chats and their people.
    "operator": (
        "operators.see_masked_numbers",
        "operators.read_texts",
        "chats.view_report",
        "chats.change_chat",
        "messaging.change_message",
        "messaging.add_optout",
        "platforms.change_event",
        "chats.view_virtualnumber",
        "platforms.view_platform",
        "platforms.view_template",
        "platforms.view_webhookendpoint",
        "platforms.view_approvalhook",
    ),
    # Sets the service up for platforms, and answers for what leaves it.
    "manager": (
        "operators.export_chats",
        "audit.reveal_phone_number",
        "chats.add_virtualnumber",
        "chats.change_virtualnumber",
        "platforms.add_platform",
        "platforms.change_platform",
        "platforms.add_template",
        "platforms.change_template",
        "platforms.delete_template",
        "platforms.view_apikey",
        "platforms.add_apikey",
        "platforms.change_apikey",
        "platforms.add_webhookendpoint",
        "platforms.change_webhookendpoint",
        "platforms.delete_webhookendpoint",
        "platforms.add_approvalhook",
        "platforms.change_approvalhook",
        "platforms.delete_approvalhook",
    ),
    # Decides who may do what, and sees who did.
    "administrator": (
        "auth.view_user",
        "auth.add_user",
        "auth.change_user",
        "auth.view_group",
        "auth.add_group",
        "auth.change_group",
        "auth.delete_group",
        "audit.view_auditentry",
    ),
}


def permissions_of(role: str) -> set[str]:
    """Return all that a role may do, as "app.permission"."""
    names = list(ROLES)
    return {permission for name in names[: names.index(role) + 1] for permission in ROLES[name]}


def grant_roles(*, apps: Any, using: str) -> None:
    """Make the groups of the roles what the table says, as far as its permissions are there; no other group is touched.

    `apps` may be those of a migration.
    """
    Group, Permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    groups = {group.name: group for group in Group.objects.using(using).filter(name__in=ROLES)}
    missing = [Group(name=name) for name in ROLES if name not in groups]
    groups |= {group.name: group for group in Group.objects.using(using).bulk_create(missing)}
    wanted = permissions_of(list(ROLES)[-1])
    codenames = {permission.split(".")[1] for permission in wanted}
    ids = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.using(using)
        .filter(codename__in=codenames)
        .values_list("pk", "content_type__app_label", "codename")
        if f"{app}.{codename}" in wanted
    }
    Granted = Group.permissions.through
    of_roles = Granted.objects.using(using).filter(group__in=groups.values())
    stands = {(group, permission): pk for pk, group, permission in of_roles.values_list("pk", "group", "permission")}
    table = {(groups[name].pk, ids[each]) for name in ROLES for each in permissions_of(name) if each in ids}
    over = [pk for pair, pk in stands.items() if pair not in table]
    if over:
        Granted.objects.using(using).filter(pk__in=over).delete()
    new: Sequence[tuple[int, int]] = sorted(table - set(stands))
    Granted.objects.using(using).bulk_create([Granted(group_id=group, permission_id=each) for group, each in new])


def grant_roles_after_migrate(*, app_config: Any, using: str, apps: Any = global_apps, **_: Any) -> None:
    """Grant what migrations have brought, once Django has made the permissions of every app.

    It makes them app by app, and calls this after each.
    """
    with_models = [config.label for config in global_apps.get_app_configs() if config.models_module]
    if app_config.label == with_models[-1]:
        grant_roles(apps=apps, using=using)
