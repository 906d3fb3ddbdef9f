"""What operators, platforms and commands do is in the audit log: who, what, when, which object, why, which request."""

import json
from typing import Any
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from audit.admin import AuditEntryAdmin
from audit.admin_mixin import AuditedAdmin
from audit.models import Action, AuditEntry
from chats.models import Chat, VirtualNumber
from messaging.models import Message
from platforms.models import ApiKey, ApprovalHook, Platform, Template, WebhookEndpoint
from tests.admin.pages import KEYS, NO_TEMPLATES, NUMBERS, PLATFORMS, end_all, page_of, words_of
from tests.factories import OMAR, SARA, make_api_client, make_api_key, make_chat, make_pool

AUDIT = reverse("admin:audit_auditentry_changelist")


@pytest.fixture
def chat(platform: Platform) -> Chat:
    make_pool(2)
    return make_chat(platform)


def entries() -> list[AuditEntry]:
    return list(AuditEntry.objects.order_by("at", "id"))


def last() -> AuditEntry:
    return AuditEntry.objects.latest("at", "id")


def reveal(client: Client, chat: Chat, **fields: Any) -> Any:
    participant = chat.participants.get(position=1)
    return client.post(
        reverse("admin:chats_chat_reveal_number", args=[chat.pk]), {"participant": participant.pk, **fields}
    )


def test_reading_a_chat_is_recorded(operator: Client, chat: Chat) -> None:
    answer = operator.get(page_of(chat))
    entry = last()
    user = User.objects.get()
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("operator", str(user.pk), "olga")
    assert (entry.action, entry.object_type, entry.object_id) == ("read_chat", "chats.chat", str(chat.pk))
    assert entry.request_id == UUID(answer.headers["X-Request-Id"])


def test_reading_a_text_is_recorded(operator: Client, chat: Chat) -> None:
    message = Message.objects.filter(chat=chat).first()
    assert message
    operator.get(page_of(message))
    assert (last().action, last().object_id) == ("read_message", str(message.pk))


def test_a_number_is_shown_once_for_a_reason(operator: Client, chat: Chat) -> None:
    address = reverse("admin:chats_chat_reveal_number", args=[chat.pk])
    assert address in operator.get(page_of(chat)).content.decode()
    assert SARA not in operator.get(address).content.decode()
    shown = reveal(operator, chat, reason="the police asked, case 12")
    assert SARA in words_of(shown) and OMAR not in shown.content.decode()
    assert "no-store" in shown.headers["Cache-Control"]
    entry = last()
    assert (entry.action, entry.object_type) == ("revealed_number", "chats.participant")
    assert entry.object_id == str(chat.participants.get(position=1).pk)
    assert entry.reason == "the police asked, case 12"
    assert SARA not in operator.get(address).content.decode()


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, f"he is {SARA}"])
def test_a_number_is_not_shown_without_a_reason_that_can_be_kept(operator: Client, chat: Chat, reason: str) -> None:
    assert SARA not in words_of(reveal(operator, chat, reason=reason)).replace(reason or "-", "")
    assert not AuditEntry.objects.filter(action="revealed_number").exists()


def test_a_number_of_another_chat_is_not_shown(operator: Client, chat: Chat, platform: Platform) -> None:
    other = make_chat(platform, ("+14155550125", "+14155550126"))
    answer = reveal(operator, chat, reason="x", participant=other.participants.get(position=1).pk)
    assert "Select a valid choice" in words_of(answer)
    assert not AuditEntry.objects.filter(action="revealed_number").exists()


def test_a_number_is_shown_to_those_only_who_have_the_permission(viewer: Client, chat: Chat) -> None:
    assert "reveal" not in viewer.get(page_of(chat)).content.decode()
    assert reveal(viewer, chat, reason="curious").status_code == 403
    User.objects.get().user_permissions.add(Permission.objects.get(codename="reveal_phone_number"))
    assert SARA in words_of(reveal(viewer, chat, reason="curious"))


def test_a_number_is_not_shown_from_another_site(operator: Client, chat: Chat) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert reveal(strict, chat, reason="a page elsewhere posts this").status_code == 403


def test_ending_a_chat_is_recorded_once_with_its_reason(operator: Client, chat: Chat) -> None:
    end_all(operator, [chat], reason="trip over")
    end_all(operator, [chat], reason="again")
    [entry] = AuditEntry.objects.filter(action="ended_chat")
    assert (entry.object_id, entry.reason, entry.actor_name) == (str(chat.pk), "trip over", "olga")


def test_a_change_names_the_fields_and_never_their_values(operator: Client, platform: Platform) -> None:
    fields = {"name": "Rides of Paris", "cool_down_hours": "12", "introduction": "", **NO_TEMPLATES}
    assert operator.post(page_of(platform), fields).status_code == 302
    entry = last()
    assert (entry.action, entry.object_type, entry.object_id) == ("changed", "platforms.platform", str(platform.pk))
    assert "Name" in entry.fields and "Cool-down (hours)" in entry.fields
    assert "Paris" not in json.dumps(entry.fields)


def test_what_is_added_and_deleted_in_the_admin_is_recorded(operator: Client, platform: Platform) -> None:
    operator.post(f"{NUMBERS}add/", {"number": "+14155550100", "messages_per_second": "1"})
    number = VirtualNumber.objects.get()
    assert (last().action, last().object_id) == ("added", str(number.pk))
    assert number.number not in json.dumps([entry.fields + entry.reason for entry in entries()])
    endpoint = WebhookEndpoint.objects.create(platform=platform, url="https://example.com/hook", secret="whsec_x")
    listed = reverse("admin:platforms_webhookendpoint_changelist")
    operator.post(listed, {"action": "delete_selected", "_selected_action": str(endpoint.pk), "post": "yes"})
    assert not WebhookEndpoint.objects.exists()
    assert (last().action, last().object_id) == ("deleted", str(endpoint.pk))


def test_no_page_of_the_admin_is_left_out() -> None:
    pages = [page for page in admin.site._registry.values() if not isinstance(page, AuditEntryAdmin)]
    assert [page for page in pages if not isinstance(page, AuditedAdmin)] == []


def save_templates(operator: Client, platform: Platform, rows: list[dict[str, Any]], saved: int) -> None:
    fields = {"name": "Rides", "introduction": ""}
    fields |= {"templates-TOTAL_FORMS": str(len(rows)), "templates-INITIAL_FORMS": str(saved)}
    for position, row in enumerate(rows):
        posted = {"kind": "not_delivered", "language": "en", "side": "", "platform": platform.pk, **row}
        fields |= {f"templates-{position}-{name}": str(value) for name, value in posted.items()}
    assert operator.post(page_of(platform), fields).status_code == 302


def test_templates_of_a_platforms_page_are_recorded_for_themselves(operator: Client, platform: Platform) -> None:
    save_templates(operator, platform, [{"text": "Call {name}."}], saved=0)
    template = Template.objects.get()
    save_templates(operator, platform, [{"id": template.pk, "text": "Write to {name}."}], saved=1)
    added_and_deleted = {"language": "es", "text": "Llame.", "DELETE": "on"}
    save_templates(
        operator,
        platform,
        [{"id": template.pk, "text": "Write to {name}.", "DELETE": "on"}, added_and_deleted],
        saved=1,
    )
    shown = [(entry.action, entry.fields) for entry in entries() if entry.object_type == "platforms.template"]
    assert shown == [("added", ""), ("changed", "text"), ("deleted", "")]
    assert {entry.object_id for entry in entries() if "template" in entry.object_type} == {str(template.pk)}
    assert not [entry for entry in entries() if entry.object_type == "platforms.platform" and "Text" in entry.fields]


def test_what_is_done_to_an_approval_hook_in_the_admin_is_recorded(operator: Client, platform: Platform) -> None:
    listed = reverse("admin:platforms_approvalhook_changelist")
    fields = {"url": "http://127.0.0.1:9/", "default": "block", "timeout_seconds": "3"}
    operator.post(f"{listed}add/", {"platform": platform.pk, **fields})
    hook = ApprovalHook.objects.get()
    operator.post(page_of(hook), {**fields, "timeout_seconds": "5"})
    operator.post(listed, {"action": "rotate_secrets", "_selected_action": str(hook.pk), "confirmed": "yes"})
    operator.post(page_of(hook, "delete"), {"post": "yes"})
    shown = [(entry.action, entry.object_id) for entry in entries() if "approvalhook" in entry.object_type]
    assert shown == [(action, str(hook.pk)) for action in ("added", "changed", "made_secret", "deleted")]


def test_exporting_a_chat_is_recorded(operator: Client, viewer: Client, chat: Chat) -> None:
    assert operator.get(reverse("admin:chats_chat_export_transcript", args=[chat.pk])).status_code == 200
    assert (last().action, last().object_id) == ("exported", str(chat.pk))


def test_keys_made_and_revoked_in_the_admin_are_recorded_by_their_prefix(operator: Client, platform: Platform) -> None:
    operator.post(f"{PLATFORMS}add/", {"name": "Rentals", **NO_TEMPLATES})
    made = {entry.action for entry in entries() if entry.actor_name == "olga"}
    assert {"added", "made_key"} <= made
    key = ApiKey.objects.get()
    assert (AuditEntry.objects.get(action="made_key").object_id) == key.prefix
    fields = {"action": "revoke_keys", "_selected_action": key.pk, "confirmed": "yes"}
    operator.post(KEYS, fields)
    operator.post(KEYS, fields)
    assert [entry.object_id for entry in AuditEntry.objects.filter(action="revoked_key")] == [key.prefix]


def test_what_a_platform_does_to_its_endpoints_is_recorded(api: APIClient, platform: Platform) -> None:
    made = api.post("/webhook-endpoints", {"url": "http://127.0.0.1:9/hook"}).json()
    address = f"/webhook-endpoints/{made['id']}"
    api.patch(address, {"include_bodies": True})
    api.post(f"{address}/rotate-secret")
    api.delete(address)
    shown = [(entry.action, entry.fields) for entry in entries()]
    assert shown == [("added", ""), ("changed", "include_bodies"), ("made_secret", ""), ("deleted", "")]
    assert {entry.object_id for entry in entries()} == {made["id"]}
    assert {entry.actor_name for entry in entries()} == {f"Rides, key {ApiKey.objects.get().prefix}"}


def test_what_a_platform_does_to_its_templates_is_recorded(api: APIClient, platform: Platform) -> None:
    template = {"kind": "not_delivered", "text": "Call {name}."}
    made = api.put("/templates", template).json()
    api.put("/templates", {**template, "text": "Write to {name}."})
    api.post("/templates/preview", template)
    api.delete(f"/templates/{made['id']}")
    shown = [(entry.action, entry.fields) for entry in entries()]
    assert shown == [("added", ""), ("changed", "text"), ("deleted", "")]
    assert {(entry.object_type, entry.object_id) for entry in entries()} == {("platforms.template", made["id"])}
    assert {entry.actor_name for entry in entries()} == {f"Rides, key {ApiKey.objects.get().prefix}"}


def test_what_a_platform_does_to_its_approval_hook_is_recorded(api: APIClient, platform: Platform) -> None:
    hook = {"url": "http://127.0.0.1:9/approve", "default": "block"}
    api.put("/approval-hook", hook)
    api.put("/approval-hook", {**hook, "timeout_seconds": 5})
    api.post("/approval-hook/rotate-secret")
    api.delete("/approval-hook")
    shown = [(entry.action, entry.fields) for entry in entries()]
    changed = ("changed", "url, timeout_seconds, default")
    assert shown == [("added", ""), changed, ("made_secret", ""), ("deleted", "")]
    assert {(entry.object_type, entry.object_id) for entry in entries()} == {
        ("platforms.approvalhook", str(platform.pk))
    }
    assert {entry.actor_name for entry in entries()} == {f"Rides, key {ApiKey.objects.get().prefix}"}


def test_what_is_refused_is_not_recorded(api: APIClient, platform: Platform) -> None:
    for answer in (
        api.put("/templates", {"kind": "not_delivered", "text": "Call {nobody}."}),
        api.put("/approval-hook", {"url": "ftp://example.com", "default": "block"}),
    ):
        assert answer.status_code == 400
    for answer in (
        api.delete("/approval-hook"),
        api.post("/approval-hook/rotate-secret"),
        api.delete(f"/templates/{platform.pk}"),
    ):
        assert answer.status_code == 404
    reader = make_api_client(platform, role="read")
    assert reader.post("/webhook-endpoints", {"url": "http://127.0.0.1:9/hook"}).status_code == 403
    assert api.post("/webhook-endpoints", {"url": "ftp://example.com"}).status_code == 400
    assert entries() == []


def test_chats_that_platforms_start_are_not_in_it(chat: Chat) -> None:
    assert entries() == []


@pytest.mark.django_db
def test_commands_are_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("create_platform", "Rides")
    call_command("create_api_key", "Rides", "--name", "dispatch")
    prefix = ApiKey.objects.get(name="dispatch").prefix
    call_command("revoke_api_key", prefix)
    call_command("add_virtual_number", "+14155550100")
    shown = [(entry.actor_name, entry.action) for entry in entries()]
    assert shown == [
        ("create_platform", "added"),
        ("create_platform", "made_key"),
        ("create_api_key", "made_key"),
        ("revoke_api_key", "revoked_key"),
        ("add_virtual_number", "added"),
    ]
    assert entries()[3].object_id == prefix


def test_logins_are_recorded(client: Client, operator: Client) -> None:
    login = reverse("admin:login")
    client.post(login, {"username": "olga", "password": "wrong"})
    client.post(login, {"username": "hunter2-my-password", "password": "wrong"})
    client.post(login, {"username": "a\0b", "password": "wrong"})
    client.post(login, {"username": "olga", "password": "operators-only-1"})
    client.post(reverse("admin:logout"))
    shown = [(entry.action, entry.object_id) for entry in entries()][1:]
    olga = str(User.objects.get().pk)
    assert shown[:2] == [("failed_login", olga), ("failed_login", "")]
    assert shown[-2:] == [("logged_in", olga), ("logged_out", olga)]
    assert "hunter2" not in json.dumps(list(AuditEntry.objects.values_list("actor_name", "reason", "object_id")))


def test_what_is_in_it_is_logged_too(
    operator: Client, chat: Chat, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    with caplog.at_level("INFO", logger="audit"), django_capture_on_commit_callbacks(execute=True):
        reveal(operator, chat, reason="the police asked")
    [line] = [str(each.msg) for each in caplog.records if each.name == "audit"]
    assert str(last().pk) in line and "revealed_number" in line
    assert SARA not in line and "police" not in line


def test_operators_read_the_log_and_cannot_change_it(operator: Client, chat: Chat) -> None:
    reveal(operator, chat, reason="the police asked")
    page = words_of(operator.get(AUDIT))
    assert "olga" in page and "revealed a phone number" in page and "the police asked" in page
    entry = last()
    assert str(entry.object_id) in words_of(operator.get(page_of(entry)))
    for query in (
        {"action": "logged_in"},
        {"actor_kind": "platform"},
        {"object_type": "chats.chat"},
        {"at__year": 2001},
    ):
        assert "the police asked" not in words_of(operator.get(AUDIT, query))
    for query in ({"q": "olga"}, {"q": entry.object_id}, {"q": str(entry.request_id)}):
        assert "the police asked" in words_of(operator.get(AUDIT, query))
    assert "the police asked" not in words_of(operator.get(AUDIT, {"q": "victor"}))
    for address in (f"{AUDIT}add/", page_of(entry, "delete"), page_of(entry)):
        assert operator.post(address, {"reason": "x", "post": "yes"}).status_code == 403
    assert list(AuditEntry.objects.filter(action=Action.REVEALED_NUMBER)) == [entry]


def test_an_api_key_is_no_login(platform: Platform, client: Client) -> None:
    key = make_api_key(platform)
    assert client.get(AUDIT, headers={"Authorization": f"Bearer {key}"}).status_code == 302
