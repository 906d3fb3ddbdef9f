"""Who opens the admin: an operator who may do everything, and a viewer who may only look."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client


@pytest.fixture
def operator(db: None) -> Client:
    return _log_in(User.objects.create_superuser("olga", password="operators-only-1"))


@pytest.fixture
def viewer(db: None) -> Client:
    """Staff with every view permission there is and no other."""
    user = User.objects.create_user("victor", password="viewers-only-1", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    return _log_in(user)


def _log_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
