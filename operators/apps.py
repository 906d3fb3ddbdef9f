"""The operators app: how those who use the admin prove who they are, and what they may do there."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class OperatorsConfig(AppConfig):
    name = "operators"

    def ready(self) -> None:
        # All need models, which are there only now.
        from axes.signals import user_locked_out

        from operators.locking import record_lock
        from operators.roles import grant_roles_after_migrate
        from operators.translation import translate_models

        # django-axes tells of a lock in no other way.
        user_locked_out.connect(record_lock, dispatch_uid="operators")
        # Django tells in no other way that the permissions of new pages are there.
        post_migrate.connect(grant_roles_after_migrate, dispatch_uid="operators")
        translate_models()
