"""The second factor of an operator: a secret that they share with an app on their phone."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from proxy_project.encryption import EncryptedTextField


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
