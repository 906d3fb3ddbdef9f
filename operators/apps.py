"""The operators app: how those who use the admin prove who they are."""

from django.apps import AppConfig


class OperatorsConfig(AppConfig):
    name = "operators"

    def ready(self) -> None:
        # Both need models, which are there only now.
        from axes.signals import user_locked_out

        from operators.locking import record_lock

        # django-axes tells of a lock in no other way.
        user_locked_out.connect(record_lock, dispatch_uid="operators")
