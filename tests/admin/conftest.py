"""Who opens the admin: an operator who may do everything, and a viewer who may only look."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db.models import Q
from django.test import Client


@pytest.fixture
def operator(db: None) -> Client:
    return _log_in(User.objects.create_superuser("olga", password="operators-only-1"))


@pytest.fixture
def viewer(db: None) -> Client:
    """Staff who may see all that there is, and change nothing."""
    user = User.objects.create_user("victor", password="viewers-only-1", is_staff=True)
    seeing = Q(codename__startswith="view_") | Q(codename__in=("see_masked_numbers", "read_texts"))
    user.user_permissions.set(Permission.objects.filter(seeing))
    return _log_in(user)


def _log_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
