"""No field is forgotten: whoever adds one says here what it holds, and then rotation and erasure have to know it."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection, models
from django.utils import timezone

from chats.models import Chat, Pace, Participant
from chats.services import end_chat
from messaging.gateways import MediaError
from messaging.keeping.rotation import list_tables
from messaging.media.forgetting import forget_expired_media
from messaging.models import Approval, Attachment, Message, OptOut, TextPart
from messaging.tasks import erase_what_is_old
from platforms.models import Event, KeptAnswer
from proxy_project.encryption import EncryptedJSONField, EncryptedTextField, digest_number, encrypt
from tests.factories import ALICE, OMAR, SARA
from tests.keeping.helpers import receive, run
from tests.messaging.media import JPEG, fetch
from tests.messaging.media import receive as receive_media
from tests.messaging.rows import make_relay

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media_storage")]

NOW = timezone.now()

# Encrypted, and nothing of it is left of somebody who has been erased, or whose chat is not kept any more.
OF_PEOPLE = {
    "chats.Chat.metadata",
    "chats.Participant.consent_text",
    "chats.Participant.name",
    "chats.Participant.phone_number",
    "messaging.Approval.reason",
    "messaging.Attachment.source_url",
    "messaging.Message.body",
    "messaging.Message.stranger_number",
    "messaging.OptOut.confirmation",
    "messaging.OptOut.end_confirmation",
    "messaging.OptOut.end_text",
    "messaging.OptOut.reason",
    "messaging.OptOut.stranger_number",
    "messaging.OptOut.text",
    "messaging.TextPart.body",
    "messaging.TextPart.from_number",
    "platforms.Event.payload",
    "platforms.KeptAnswer.body",
}
# Encrypted, and not about people.
SECRETS = {
    "operators.SecondFactor.secret",
    "platforms.ApprovalHook.previous_secret",
    "platforms.ApprovalHook.secret",
    "platforms.WebhookEndpoint.previous_secret",
    "platforms.WebhookEndpoint.secret",
}
# In clear, and emptied with the people they tell of.
CLEAR_OF_PEOPLE = {
    "chats.Participant.block_reason",
    "chats.Participant.language",
    "chats.Participant.mute_reason",
    "chats.Participant.time_zone",
    # The carrier's words, without digits that could be a number.
    "messaging.Message.error_detail",
    # Names a file that is encrypted, and deleted.
    "messaging.Attachment.file",
}
# Nobody's any more once they are erased; but one of an opt-out in force, by which it goes on, and of an erasure itself.
DIGESTS = {
    "chats.Erasure.phone_digest",
    # Of the last text.
    "chats.Pace.last_text",
    "chats.Participant.phone_digest",
    "messaging.Message.once_key",
    "messaging.Message.stranger_digest",
    "messaging.OptOut.phone_digest",
    "messaging.TextPart.sender_digest",
    # Of what a platform sent; a day old at most.
    "platforms.KeptAnswer.fingerprint",
    "platforms.KeptAnswer.key_digest",
}
# In clear and kept: states, the carrier's ids and codes, our own numbers, and what operators and platforms write, of
# whom docs/privacy.md asks to name nobody there.
CLEAR = {
    # Numbers are refused there; who writes a name into a reason is told that it stays.
    "audit.AuditEntry": {
        *("action", "actor_id", "actor_kind", "actor_name", "fields", "object_id", "object_type", "reason"),
    },
    "chats.Chat": {
        *("emails_in_texts", "end_reason", "handles_in_texts", "links_in_texts", "phone_numbers_in_texts"),
        *("reference", "status"),
    },
    "chats.VirtualNumber": {"at_gateway", "country", "number", "paced_by", "segments_sent_at", "state"},
    "desk.Errand": {"action", "actor_id", "actor_name", "error_code"},
    "desk.Figure": {"key", "name"},
    "desk.LateChange": {"currency", "direction", "error_code", "kind", "status"},
    "messaging.Approval": {"error", "status"},
    "messaging.Attachment": {"content_type", "error_code", "error_detail", "kind", "source", "status"},
    "messaging.GatewayAccount": {"balance_currency", "name", "pause_code", "pause_detail", "signed_with"},
    "messaging.Heartbeat": {"host", "kind"},
    "messaging.Measurement": {"label", "name"},
    "messaging.Message": {
        *("channel", "currency", "direction", "disclosures", "earlier_gateway_ids", "error_code"),
        *("error_kind", "gateway_id", "handled_by", "kind", "rejected_gateway_ids", "status"),
    },
    "messaging.OptOut": {"end", "keyword", "recorded_by", "scope", "source"},
    "messaging.TextPart": {"gateway_id", "reference", "to_number", "undeliverable"},
    "messaging.UsageDay": {"currency", "direction", "kind", "status"},
    "messaging.UsageTotal": {"currency", "direction", "kind", "status"},
    # Of operators, not of people who text.
    "operators.Preferences": {"language", "time_zone"},
    "operators.SecondFactor": {"recovery_digests"},
    "platforms.Allowance": {"bucket"},
    "platforms.ApiKey": {"hashed_key", "id", "name", "prefix", "role"},
    "platforms.ApprovalHook": {"default", "last_failure", "url"},
    "platforms.EncryptionKey": {"fingerprint"},
    "platforms.Event": {"type"},
    "platforms.EventDelivery": {"error", "status"},
    "platforms.Platform": {
        *("allowed_countries", "emails_in_texts", "handles_in_texts", "introduction", "language", "links_in_texts"),
        *("name", "opt_out_scope", "phone_numbers_in_texts"),
    },
    "platforms.Template": {"kind", "language", "text"},
    "platforms.WebhookEndpoint": {"event_types", "last_failure", "url"},
}
OURS = ("audit", "chats", "desk", "messaging", "operators", "platforms")
ENCRYPTED = (EncryptedTextField, EncryptedJSONField)
# What cannot hold a name, a number or words.
_HARMLESS = (
    *(models.IntegerField, models.FloatField, models.DecimalField, models.BooleanField, models.UUIDField),
    *(models.DateField, models.TimeField, models.DurationField, models.ForeignKey, models.CompositePrimaryKey),
)
# Empty in all other rows.
ONLY_WHERE = {
    "messaging.Attachment.source_url": "status = 'waiting'",
    "messaging.Message.stranger_number": "stranger_digest IS NOT NULL",
    "platforms.Event.payload": "chat_id IS NOT NULL",
}
SECRET = "somebody's secret"


def list_fields() -> Iterator[tuple[str, models.Field]]:
    for model in apps.get_models():
        if model._meta.app_label in OURS and not model._meta.proxy:
            for field in model._meta.local_fields:
                yield f"{model._meta.label}.{field.name}", field


def test_every_field_that_can_hold_words_is_accounted_for():
    clear = {f"{model}.{name}" for model, names in CLEAR.items() for name in names}
    found = {name for name, field in list_fields() if not isinstance(field, _HARMLESS)}
    assert found == OF_PEOPLE | SECRETS | CLEAR_OF_PEOPLE | DIGESTS | clear
    encrypted = {name for name, field in list_fields() if isinstance(field, ENCRYPTED)}
    assert encrypted == OF_PEOPLE | SECRETS


def test_every_encrypted_field_is_rotated():
    rotated = {f"{table.name}.{column.name}" for table in list_tables() for column in table.columns}
    assert rotated == {
        f"{field.model._meta.db_table}.{field.column}" for _, field in list_fields() if isinstance(field, ENCRYPTED)
    }


@pytest.fixture
def full(api, platform, chat, sara, omar):
    """A row of each kind, of Sara, Omar or a stranger, and the secret in every field that tells of people."""
    platform.records_events = True
    platform.save()
    receive("the blue gate")
    receive_media("gate.jpg", "later.jpg", from_=OMAR[1:])
    fetch(**{"gate.jpg": JPEG, "later.jpg": MediaError("unreachable", "", again=True)})
    receive("HELP")
    receive("HELP", from_="14155550129")
    receive("STOP", from_=OMAR[1:])
    receive("START", from_=OMAR[1:])
    receive("STOP")
    receive("STOP", from_=ALICE[1:])
    relay = make_relay(sara, omar)
    Approval.objects.create(message=relay.relays, platform=platform, recipient=omar, position=1, status="blocked")
    TextPart.objects.create(
        sender_digest=digest_number(ALICE), to_number="+12025550100", reference="7", total=2, part=1, gateway_id="p"
    )
    api.post(f"/chats/{chat.pk}/messages", {"text": "hello", "to": str(omar.pk)}, headers={"Idempotency-Key": "one"})
    person = {"id": str(sara.pk), "name": SECRET, "phone_number": SECRET}
    both = [person, person | {"id": str(omar.pk)}]
    as_json = {"id": str(chat.pk), "participants": both, "metadata": {"note": SECRET}}
    contents = {
        "chats.Chat.metadata": {"note": SECRET},
        "platforms.Event.payload": json.dumps(as_json),
        "platforms.KeptAnswer.body": json.dumps(
            as_json | {"messages": [{"text": SECRET, "participant": both[0]["id"]}]}
        ),
    }
    with connection.cursor() as cursor:
        for name, field in list_fields():
            if name in OF_PEOPLE:
                content = contents.get(name, SECRET)
                is_json = isinstance(field, EncryptedJSONField)
                token = encrypt(json.dumps(content) if is_json else content)
                value = "to_jsonb(%s::text)" if is_json else "%s"
                where = ONLY_WHERE.get(name, "TRUE")
                cursor.execute(
                    f"UPDATE {field.model._meta.db_table} SET {field.column} = {value} WHERE {where}", [token]
                )
                assert cursor.rowcount, f"there is no {field.model._meta.label} in this test"
    Participant.objects.update(
        language="es", time_zone="Europe/Madrid", mute_reason="Sara was rude", block_reason="so was Omar"
    )
    assert Pace.objects.exists()
    Message.objects.filter(direction="out").update(error_detail=SECRET)


def assert_nothing_is_left() -> None:
    left = []
    for name in sorted(OF_PEOPLE):
        label, _, column = name.rpartition(".")
        left += [
            name for content in apps.get_model(label).objects.values_list(column, flat=True) if SECRET in str(content)
        ]
    assert left == []
    for name in sorted(CLEAR_OF_PEOPLE):
        label, _, column = name.rpartition(".")
        assert set(apps.get_model(label).objects.values_list(column, flat=True)) <= {""}, name


def digests_left() -> set[bytes]:
    people = {digest_number(number) for number in (SARA, OMAR, ALICE)}
    found = {
        digest
        for name in DIGESTS - {"chats.Erasure.phone_digest", "messaging.OptOut.phone_digest"}
        for label, _, column in [name.rpartition(".")]
        for digest in apps.get_model(label).objects.exclude(**{column: None}).values_list(column, flat=True)
    }
    in_keys = [key for key in found if isinstance(key, str) and any(digest.hex()[:32] in key for digest in people)]
    assert not in_keys
    return {bytes(each) for each in found if not isinstance(each, str)} & people


def test_the_erasure_of_everybody_leaves_nothing(full):
    for number in (SARA, OMAR, ALICE, "+14155550129"):
        run("erase_person", number)
    assert_nothing_is_left()
    assert digests_left() == set() and not Pace.objects.exists()
    # Omar has texted START; the others' STOP goes on.
    left = {bytes(each.phone_digest) for each in OptOut.objects.all()}
    assert left & {digest_number(number) for number in (SARA, OMAR, ALICE)} == {
        digest_number(SARA),
        digest_number(ALICE),
    }
    links = OptOut.objects.values_list("participant", "message", "end_message")
    assert set(links) == {(None, None, None)}


def test_retention_leaves_nothing(full, settings, chat):
    settings.KEEP_FOR_DAYS = settings.KEEP_STRANGERS_FOR_DAYS = 10
    Message.objects.filter(direction="out").update(status="delivered", due_at=None)
    end_chat(chat_id=chat.pk, reason="trip over", now=NOW - timedelta(days=11))
    Message.objects.update(created_at=NOW - timedelta(days=11))
    OptOut.objects.update(created_at=NOW - timedelta(days=11))
    OptOut.objects.exclude(ended_at=None).update(ended_at=NOW - timedelta(days=11))
    Attachment.objects.exclude(stored_at=None).update(stored_at=NOW - timedelta(days=11))
    # These go within a day, on their own.
    KeptAnswer.objects.all().delete()
    TextPart.objects.all().delete()
    erase_what_is_old(0)
    forget_expired_media()
    assert Chat.objects.get().erased_at
    assert_nothing_is_left()
    assert digests_left() == set() and not Pace.objects.exists()
    assert Event.objects.exists() and OptOut.objects.filter(ended_at=None).count() == 2
