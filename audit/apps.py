"""The audit app."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        # Needs models, which are there only now.
        from audit import logins

        # Django tells of logins in no other way, whichever page or backend they come by.
        user_logged_in.connect(logins.record_login, dispatch_uid="audit")
        user_logged_out.connect(logins.record_logout, dispatch_uid="audit")
        user_login_failed.connect(logins.record_failed_login, dispatch_uid="audit")
