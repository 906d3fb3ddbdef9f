"""A row whose key is missing says so, on every page that shows it; no page fails, and nothing is written over it."""

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.db import connection

from chats.models import Participant
from messaging.keeping.rotation import list_tables
from proxy_project.encryption import UNREADABLE, show_unreadable
from tests.admin.pages import CHATS, MESSAGES, page_of, read
from tests.admin.population import populate
from tests.admin.test_no_phone_numbers import walk


@pytest.fixture
def population(db):
    population = populate()
    token = Fernet(Fernet.generate_key()).encrypt(b"lost").decode()
    with connection.cursor() as cursor:
        for table in list_tables():
            for column in table.columns:
                cursor.execute(f"UPDATE {table.name} SET {column.name} = {column.write('%s::text')}", [token])
    return population


@pytest.mark.slow
def test_no_page_fails(operator, population):
    for name, page in walk(operator):
        assert page.status_code in (200, 403), name


def test_the_pages_say_what_is_wrong(operator, population):
    for address in (CHATS, MESSAGES, page_of(population.open_chat)):
        assert UNREADABLE in read(operator, address)


def test_elsewhere_it_is_an_error_and_nothing_is_written_over_it(population):
    with pytest.raises(InvalidToken):
        list(Participant.objects.all())
    with show_unreadable():
        person = Participant.objects.first()
        with pytest.raises(ValueError, match="must not be overwritten"):
            person.save()
