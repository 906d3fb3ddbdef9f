"""Who sits at the desk: somebody of each role, and the operator and viewer of the admin's tests."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.admin.conftest import operator, viewer

__all__ = ("operator", "viewer")


@pytest.fixture
def log_in(db: None) -> Callable[..., Client]:
    """Log somebody in who has `role`, or a role less; nobody's role is an empty one."""

    def log_in(role: str, name: str = "") -> Client:
        user = User.objects.create_user(name or role or "nobody", password="operators-only-1", is_staff=True)
        if role:
            user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return log_in
