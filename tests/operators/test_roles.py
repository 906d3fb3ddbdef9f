"""What each role may open and do, as a table; a page or an action that is not in it fails the tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import get_resolver, reverse
from django.utils import timezone

from audit.log import command, record
from audit.models import Action
from chats.models import Chat, Report, VirtualNumber
from messaging.models import Attachment, Message, OptOut
from operators.roles import ROLES, grant_roles, permissions_of
from platforms.models import ApiKey, ApprovalHook, Event, WebhookEndpoint
from proxy_project.encryption import digest_number
from tests.admin.pages import CHATS, KEYS, end_all, page_of, read, search_chats
from tests.admin.population import PEOPLE, STRANGER, Population, populate
from tests.factories import make_api_client

VIEWER, OPERATOR, MANAGER, ADMINISTRATOR, NOBODY = *ROLES, "nobody"
STAFF = ""

# The least role that may open a page, by model: list, a row, adding, changing, deleting. Superusers may do all but what
# nobody may.
PAGES = {
    "chats.report": (OPERATOR, NOBODY, NOBODY, NOBODY),
    "chats.chat": (VIEWER, NOBODY, NOBODY, NOBODY),
    "chats.virtualnumber": (OPERATOR, MANAGER, MANAGER, NOBODY),
    "messaging.message": (VIEWER, NOBODY, NOBODY, NOBODY),
    "messaging.attachment": (VIEWER, NOBODY, NOBODY, NOBODY),
    "messaging.optout": (VIEWER, OPERATOR, NOBODY, NOBODY),
    "platforms.platform": (OPERATOR, MANAGER, MANAGER, NOBODY),
    "platforms.apikey": (MANAGER, MANAGER, NOBODY, NOBODY),
    "platforms.webhookendpoint": (OPERATOR, MANAGER, MANAGER, MANAGER),
    "platforms.approvalhook": (OPERATOR, MANAGER, MANAGER, MANAGER),
    "platforms.event": (VIEWER, NOBODY, NOBODY, NOBODY),
    "audit.auditentry": (ADMINISTRATOR, NOBODY, NOBODY, NOBODY),
    "auth.user": (ADMINISTRATOR, ADMINISTRATOR, ADMINISTRATOR, NOBODY),
    "auth.group": (ADMINISTRATOR, ADMINISTRATOR, ADMINISTRATOR, ADMINISTRATOR),
}
# What is chosen for selected rows of a list.
ACTIONS = {
    ("chats.chat", "end_chats"): OPERATOR,
    ("chats.report", "handle"): OPERATOR,
    ("chats.virtualnumber", "activate_numbers"): MANAGER,
    ("chats.virtualnumber", "reserve_numbers"): MANAGER,
    ("chats.virtualnumber", "drain_numbers"): MANAGER,
    ("chats.virtualnumber", "retire_numbers"): MANAGER,
    ("platforms.apikey", "revoke_keys"): MANAGER,
    ("platforms.webhookendpoint", "ping_endpoints"): MANAGER,
    ("platforms.webhookendpoint", "rotate_secrets"): MANAGER,
    ("platforms.webhookendpoint", "delete_selected"): MANAGER,
    ("platforms.approvalhook", "rotate_secrets"): MANAGER,
    ("platforms.event", "redeliver_events"): OPERATOR,
}
# Further addresses of a row.
OF_ROWS = {
    "chats_chat_end_one_chat": OPERATOR,
    "chats_chat_export_transcript": MANAGER,
    "chats_chat_reveal_number": MANAGER,
    "auth_user_password_change": ADMINISTRATOR,
}
# Addresses that answer in ways of their own; who may not is refused, whatever is sent.
FURTHER = {
    "admin:chats_chat_live": VIEWER,
    "admin:chats_chat_media": OPERATOR,
    "admin:chats_chat_text": OPERATOR,
    "admin:chats_chat_resend": OPERATOR,
    "admin:chats_chat_restrict": OPERATOR,
    "admin:chats_chat_extend": OPERATOR,
    "admin:chats_chat_reopen": OPERATOR,
    "admin:chats_chat_replace_person": OPERATOR,
    "admin:chats_virtualnumber_activate_number": MANAGER,
    "admin:chats_virtualnumber_reserve_number": MANAGER,
    "admin:chats_virtualnumber_drain_number": MANAGER,
    "admin:chats_virtualnumber_retire_number": MANAGER,
    "admin:chats_virtualnumber_add_many": MANAGER,
    "admin:chats_virtualnumber_sync": MANAGER,
    "admin:platforms_platform_preview": OPERATOR,
    "admin:platforms_platform_redeliver": OPERATOR,
    "desk_failures": VIEWER,
}
# Everybody's who may log in: about themselves, or only what their role lets them see.
ANYBODYS = {"preferences", "second_factor", "desk_setup", "admin:search", "admin:index", "admin:login", "admin:logout",
            "admin:password_change", "admin:password_change_done", "admin:autocomplete", "admin:jsi18n",
            "admin:view_on_site", "admin:app_list"}  # fmt: skip
STANDARD = ("changelist", "add", "change", "history", "delete")


@pytest.fixture
def population(db: None) -> Population:
    population, now = populate(), timezone.now()
    platform = population.platforms[0]
    WebhookEndpoint.objects.create(platform=platform, url="https://example.com/x", secret="x")
    ApprovalHook.objects.create(platform=platform, url="https://example.com/y", secret="x", default="block")
    Event.objects.create(platform=platform, type="ping", payload="{}")
    message = Message.objects.filter(chat=population.open_chat, direction="in", status="relayed").first()
    assert message
    Message.objects.filter(pk=message.pk).update(media_count=1)
    Attachment.objects.create(
        message=message, kind="image", status="stored", position=0, file="x", content_type="image/png", stored_at=now
    )
    OptOut.objects.create(
        virtual_number=population.numbers[0],
        phone_digest=digest_number(STRANGER),
        stranger_number=STRANGER,
        text=f"STOP please {STRANGER}",
        source="text",
        scope="number",
        created_at=now,
    )
    record(action=Action.EXPORTED, by=command("test"))
    sara, omar = population.open_chat.participants.order_by("position")[:2]
    Report.objects.create(chat=population.open_chat, reporter=sara, reported=omar, created_at=now)
    User.objects.create_user("una")
    Group.objects.create(name="night shift")
    return population


def row_of(label: str) -> Model:
    model = apps.get_model(label)
    rows = model._default_manager.order_by("pk")
    if label == "auth.group":
        return rows.get(name="night shift")
    if label == "auth.user":
        return rows.get(username="una")
    return rows[0]


def may(role: str, least: str) -> bool:
    if least == NOBODY:
        return False
    if role == "superuser" or least == STAFF:
        return True
    return role in ROLES and list(ROLES).index(role) >= list(ROLES).index(least)


def walk(patterns: Any, namespace: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from walk(pattern.url_patterns, pattern.namespace or namespace)
        else:
            yield namespace, pattern


def test_every_page_and_action_of_the_admin_is_in_the_table() -> None:
    assert {model._meta.label_lower for model in admin.site._registry} == set(PAGES)
    standard = {f"{label.replace('.', '_')}_{page}" for label in PAGES for page in STANDARD}
    known = {f"admin:{name}" for name in standard | set(OF_ROWS)} | ANYBODYS | set(FURTHER)
    addresses = [each for each in get_resolver().url_patterns if str(each.pattern).startswith("admin")]
    named = {f"{namespace}:{each.name}".lstrip(":") for namespace, each in walk(addresses) if each.name}
    assert named == known
    # What has no name leads to a page that has one, or nowhere.
    nameless = {str(each.pattern) for _, each in walk(addresses) if not each.name}
    assert nameless == {"<path:object_id>/", "(?P<url>.*)$"}


@pytest.mark.django_db
def test_every_action_of_the_admin_is_in_the_table() -> None:
    request = RequestFactory().get("/admin/")
    request.user = User.objects.create_superuser("olga")
    offered = {
        (model._meta.label_lower, name)
        for model, page in admin.site._registry.items()
        for name in page.get_actions(request)
    }
    assert offered == set(ACTIONS)
    for model, page in admin.site._registry.items():
        prefix = model._meta.label_lower.replace(".", "_")
        for names in (page.actions_detail, page.actions_list, page.actions_row, page.actions_submit_line):
            assert {f"admin:{prefix}_{name}" for name in names} <= {f"admin:{each}" for each in OF_ROWS} | set(FURTHER)


@pytest.mark.slow
@pytest.mark.parametrize("role", [STAFF, *ROLES, "superuser"])
def test_a_role_opens_the_pages_of_the_table(role: str, log_in: Callable[..., Client], population: Population) -> None:
    client = log_in(role) if role != "superuser" else log_in_superuser()
    for label, (seeing, adding, changing, deleting) in PAGES.items():
        name = f"admin:{label.replace('.', '_')}"
        row = row_of(label)
        found = {
            "list": client.get(reverse(f"{name}_changelist")).status_code,
            "row": client.get(page_of(row)).status_code,
            "history": client.get(page_of(row, "history")).status_code,
            "add": client.get(reverse(f"{name}_add")).status_code,
            "change": client.post(page_of(row), {"_popup": "1", "state": "?", "url": "?"}).status_code,
            "delete": client.get(page_of(row, "delete")).status_code,
        }
        least = {"list": seeing, "row": seeing, "history": seeing, "add": adding, "change": changing}
        least["delete"] = deleting
        if changing != NOBODY and may(role, changing) and label in ("platforms.platform", "auth.group", "auth.user"):
            # What is missing in what was posted is said on the page.
            assert found["change"] in (200, 302), label
        expected = {page: 200 if may(role, each) else 403 for page, each in least.items()}
        assert found == expected, label


@pytest.mark.slow
@pytest.mark.parametrize("role", [STAFF, *ROLES, "superuser"])
def test_a_role_opens_the_further_pages_of_the_table(
    role: str, log_in: Callable[..., Client], population: Population
) -> None:
    client = log_in(role) if role != "superuser" else log_in_superuser()
    for name, least in OF_ROWS.items():
        label = ".".join(name.split("_")[:2])
        address = reverse(f"admin:{name}", args=[row_of(label).pk])
        expected = 200 if may(role, least) else 403
        assert [client.get(address).status_code, client.post(address).status_code] == [expected] * 2, name
    for name in ("preferences", "second_factor", "admin:index", "admin:password_change", "admin:jsi18n"):
        assert client.get(reverse(name)).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("role", [STAFF, *ROLES, "superuser"])
def test_a_role_is_refused_what_the_table_does_not_give_it(
    role: str, log_in: Callable[..., Client], population: Population
) -> None:
    client = log_in(role) if role != "superuser" else log_in_superuser()
    chat, endpoint = population.open_chat, WebhookEndpoint.objects.get()
    image, text = Attachment.objects.get(), Message.objects.filter(chat=chat).first()
    assert text
    rows = {
        "admin:chats_chat_media": [chat.pk, image.pk],
        "admin:chats_chat_resend": [chat.pk, text.pk],
        "admin:platforms_platform_redeliver": [endpoint.platform_id, endpoint.pk],
        "admin:platforms_platform_preview": [endpoint.platform_id],
        "admin:chats_virtualnumber_add_many": [],
        "admin:chats_virtualnumber_sync": [],
        "desk_failures": [],
    }
    for name, least in FURTHER.items():
        default = [chat.pk] if "chats_chat_" in name else [population.numbers[0].pk]
        address = reverse(name, args=rows.get(name, default))
        answers = {method: getattr(client, method)(address).status_code for method in ("get", "post")}
        if may(role, least):
            assert set(answers.values()) - {403, 405}, (name, answers)
        else:
            # A picture that somebody may not see is not there.
            assert set(answers.values()) <= {403, 404, 405} and set(answers.values()) != {405}, (name, answers)


@pytest.mark.parametrize("role", [STAFF, *ROLES, "superuser"])
def test_a_role_is_offered_the_actions_of_the_table_and_can_do_no_other(
    role: str, log_in: Callable[..., Client], population: Population
) -> None:
    client = log_in(role) if role != "superuser" else log_in_superuser()
    for (label, action), least in ACTIONS.items():
        address = reverse(f"admin:{label.replace('.', '_')}_changelist")
        if not may(role, PAGES[label][0]):
            assert client.post(address, {"action": action}).status_code == 403
            continue
        offered = f'value="{action}"' in client.get(address).content.decode()
        assert offered == may(role, least), (label, action)
        if not may(role, least):
            before = list(apps.get_model(label)._default_manager.order_by("pk").values())
            selected = [str(row.pk) for row in apps.get_model(label)._default_manager.all()]
            fields = {"action": action, "_selected_action": selected, "confirmed": "yes", "reason": "x", "post": "yes"}
            client.post(address, fields, follow=True)
            assert list(apps.get_model(label)._default_manager.order_by("pk").values()) == before


def log_in_superuser() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("superuser"))
    return client


# --- No number for support ---------------------------------------------------------------------------------


def digits_of_people(text: str) -> list[str]:
    """Return the ends of people's numbers that a page shows in their masked form."""
    return [number for number in PEOPLE if f"•{number[-2:]}" in text]


def open_all(client: Client) -> Iterator[str]:
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        answers = [client.get(reverse(f"{name}_changelist"))]
        answers += [client.get(page_of(row)) for row in model._default_manager.all()]
        yield from (answer.content.decode() for answer in answers if answer.status_code == 200)


def test_a_viewer_sees_no_digit_of_a_number_and_nothing_that_was_written(
    log_in: Callable[..., Client], population: Population
) -> None:
    pages = list(open_all(log_in(VIEWER)))
    assert len(pages) > 30
    for page in pages:
        assert digits_of_people(page) == [] and "•" not in page
        for written in ("north gate", "Three minutes", "Who is this?", "STOP please", "/media/"):
            assert written not in page
    assert any("(hidden)" in page for page in pages)
    assert any("(what was written is hidden)" in page for page in pages)


@pytest.mark.slow
def test_an_operator_sees_masked_numbers_and_texts(log_in: Callable[..., Client], population: Population) -> None:
    pages = " ".join(open_all(log_in(OPERATOR)))
    assert digits_of_people(pages) and "north gate" in pages and "/media/" in pages
    assert "(hidden)" not in pages


def test_a_viewer_finds_chats_by_reference_and_nobody_by_number(
    log_in: Callable[..., Client], population: Population
) -> None:
    client = log_in(VIEWER)
    for number in (PEOPLE[0], PEOPLE[2]):
        found = search_chats(client, number)
        assert not found.context["cl"].result_list
        assert "does not find people by phone number" in found.content.decode()
    assert len(search_chats(client, "rental-17").context["cl"].result_list) == 1
    assert search_chats(log_in(OPERATOR), PEOPLE[0]).context["cl"].result_list


def test_the_api_shows_masked_numbers_and_texts_after_a_page_of_the_admin(
    log_in: Callable[..., Client], population: Population
) -> None:
    read(log_in(VIEWER), CHATS)
    assert "•" in str(make_api_client(population.platforms[0]).get("/chats").json())


def test_an_operator_ends_chats_and_revokes_no_key(log_in: Callable[..., Client], population: Population) -> None:
    client = log_in(OPERATOR)
    end_all(client, [population.open_chat], reason="no-show")
    assert Chat.objects.get(pk=population.open_chat.pk).status == "ended"
    key = ApiKey.objects.filter(revoked=False).first()
    assert key
    client.post(KEYS, {"action": "revoke_keys", "_selected_action": key.pk, "confirmed": "yes"})
    assert not ApiKey.objects.get(pk=key.pk).revoked


# --- Administrators ----------------------------------------------------------------------------------------


def test_an_administrator_gives_roles_and_makes_nobody_a_superuser(log_in: Callable[..., Client], db: None) -> None:
    client = log_in(ADMINISTRATOR)
    una = User.objects.create_user("una", is_staff=True)
    viewers = Group.objects.get(name=VIEWER)
    fields = {"username": "una", "is_active": "on", "is_staff": "on", "groups": [viewers.pk], "is_superuser": "on",
              "date_joined_0": "2030-01-01", "date_joined_1": "12:00:00",
              "user_permissions": [Permission.objects.first().pk]}  # fmt: skip
    assert client.post(page_of(una), fields).status_code == 302
    una.refresh_from_db()
    assert [group.name for group in una.groups.all()] == [VIEWER]
    assert not una.is_superuser and not una.user_permissions.exists()


def test_an_administrator_does_not_become_a_superuser_by_their_password(
    log_in: Callable[..., Client], db: None
) -> None:
    client = log_in(ADMINISTRATOR)
    olga = User.objects.create_superuser("olga", password="operators-only-1")
    new = {"password1": "quite-another-1", "password2": "quite-another-1"}
    assert client.post(reverse("admin:auth_user_password_change", args=[olga.pk]), new).status_code == 403
    assert client.post(page_of(olga), {"username": "olga", "is_active": ""}).status_code == 403
    olga.refresh_from_db()
    assert olga.check_password("operators-only-1") and olga.is_active


def test_the_group_of_a_role_is_changed_by_nobody(operator: Client) -> None:
    group = Group.objects.get(name=VIEWER)
    assert operator.get(page_of(group)).status_code == 200
    assert operator.post(page_of(group), {"name": "anybody"}).status_code == 403
    assert operator.post(page_of(group, "delete"), {"post": "yes"}).status_code == 403


# --- The groups --------------------------------------------------------------------------------------------


def granted(name: str) -> set[str]:
    permissions = Permission.objects.filter(group__name=name).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in permissions}


@pytest.mark.django_db
def test_the_groups_may_do_what_the_table_says() -> None:
    for role in ROLES:
        assert granted(role) == permissions_of(role)


@pytest.mark.django_db
def test_what_a_migration_brings_gets_in_and_other_groups_are_left_alone() -> None:
    own = Group.objects.create(name="night shift")
    own.permissions.set(Permission.objects.filter(codename="view_chat"))
    Group.objects.get(name=VIEWER).permissions.clear()
    Group.objects.get(name=OPERATOR).permissions.add(Permission.objects.get(codename="delete_user"))
    Group.objects.get(name=MANAGER).delete()
    call_command("migrate", verbosity=0)
    for role in ROLES:
        assert granted(role) == permissions_of(role)
    assert granted("night shift") == {"chats.view_chat"}


@pytest.mark.django_db
def test_granting_again_writes_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):
        grant_roles(apps=apps, using="default")


def test_every_permission_of_the_table_is_one_of_a_page(db: None) -> None:
    """Or of the desk itself: a typing error would grant nothing, unseen."""
    everything = {
        f"{app}.{codename}" for app, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    assert permissions_of(ADMINISTRATOR) <= everything
    assert VirtualNumber._meta.label_lower in PAGES
