"""How operators log in: by password and, when they have one, second factor."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.http import HttpRequest

from audit.logins import note_check
from operators.second_factor import check, has_second_factor


class OperatorBackend(ModelBackend):
    """Takes password and code together, so that nobody learns which was wrong, and both count as one failed login."""

    def authenticate(  # type: ignore[override]
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        code: str = "",
        **kwargs: Any,
    ) -> AbstractBaseUser | None:
        if request is not None:
            note_check(request)
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is None or not has_second_factor(user):
            return user
        return user if check(user=user, code=code) else None

    def get_user(self, user_id: int) -> User | None:
        """Return whose session this is, with their preferences, which every page asks for."""
        user = User.objects.select_related("preferences").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None
