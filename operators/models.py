"""What operators have beside their user: a second factor, and how they want the desk; and what may be done there."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from proxy_project.encryption import EncryptedTextField


class Desk(models.Model):
    """No table: what somebody may be allowed to do at the desk that is not adding, changing or seeing some rows."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (
            ("see_masked_numbers", "Can see the last digits of phone numbers, and find people by a whole one"),
            ("read_texts", "Can read what people wrote, and see what they attached"),
            ("export_chats", "Can export chats"),
        )

    def __str__(self) -> str:
        return "the desk"


class SecondFactor(models.Model):
    """What an operator proves beside their password, from when they have confirmed it on."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="second_factor")
    # In base32, as apps show it.
    secret = EncryptedTextField()
    # The time step of the last code that was taken: each is taken once, and none that is older.
    last_step = models.BigIntegerField(default=-1, db_default=-1)
    # HMACs of the codes that are left for an operator who has lost the phone.
    recovery_digests = ArrayField(models.BinaryField(), default=list)
    confirmed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"second factor {self.pk}"


class Preferences(models.Model):
    """How an operator wants the desk; without a row it follows their browser."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences")
    # IANA, such as Europe/Madrid.
    time_zone = models.CharField(max_length=40)
    language = models.CharField(max_length=10)

    def __str__(self) -> str:
        return f"preferences {self.pk}"
