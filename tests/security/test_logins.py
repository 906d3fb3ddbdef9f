"""Who gets into the admin, who is slowed down, and what a copy of the database is worth to them."""

import re
import time
from base64 import b32decode
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_otp.oath import TOTP

from audit.models import AuditEntry
from operators.models import SecondFactor
from operators.second_factor import check
from tests.admin.pages import words_of

LOGIN = reverse("admin:login")
INDEX = reverse("admin:index")
FACTOR = reverse("second_factor")
PASSWORD = "operators-only-1"


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_superuser("olga", password=PASSWORD)


def log_in(client: Client, password: str = PASSWORD, username: str = "olga", **fields: Any) -> Any:
    headers = fields.pop("headers", {})
    return client.post(LOGIN, {"username": username, "password": password, **fields}, headers=headers)


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


def code_of(secret: str, *, later: int = 0) -> str:
    totp = TOTP(b32decode(secret), 30)
    totp.time = time.time() + later
    return f"{totp.token():06}"


def set_up(client: Client) -> tuple[str, list[str]]:
    """Log in, switch the second factor on, and return its secret and the recovery codes."""
    log_in(client)
    secret = re.search(r'data-testid="secret">(\w+)<', client.get(FACTOR).content.decode())
    assert secret
    # A code of the step before counts until the next one begins.
    with time_machine.travel(timezone.now(), tick=False):
        page = client.post(FACTOR, {"code": code_of(secret[1], later=-30)}).content.decode()
    return secret[1], re.findall(r"<li><code>(\w+)</code>", page)


def test_the_right_password_after_five_wrong_ones_is_refused_for_a_while(client: Client, olga: User) -> None:
    for _ in range(5):
        log_in(client, "wrong")
    answer = log_in(client)
    assert answer.status_code == 429
    assert "until 15 minutes after the last failed login" in words_of_any(answer)
    assert "axes_reset" in words_of_any(answer)
    with time_machine.travel(timezone.now() + timedelta(minutes=16), tick=True):
        log_in(client)
        assert is_in(client)


def words_of_any(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_guesses_do_not_lengthen_a_lock(client: Client, olga: User) -> None:
    for _ in range(5):
        log_in(client, "wrong")
    with time_machine.travel(timezone.now() + timedelta(minutes=10), tick=True):
        assert log_in(client, "wrong").status_code == 429
    with time_machine.travel(timezone.now() + timedelta(minutes=16), tick=True):
        log_in(client)
        assert is_in(client)


def test_an_address_that_guesses_names_is_refused_and_others_are_not(client: Client, olga: User, settings) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(5):
        log_in(client, "wrong", username=f"user{number}", headers={"X-Forwarded-For": f"10.0.0.{number}, 203.0.113.9"})
    assert log_in(client, headers={"X-Forwarded-For": "10.9.9.9, 203.0.113.9"}).status_code == 429
    log_in(client, headers={"X-Forwarded-For": "203.0.113.10"})
    assert is_in(client)


def test_a_header_does_not_make_another_address_of_one_that_comes_without_a_proxy(client: Client, olga: User) -> None:
    for number in range(5):
        log_in(client, "wrong", username=f"user{number}", headers={"X-Forwarded-For": f"203.0.113.{number}"})
    assert log_in(client, headers={"X-Forwarded-For": "203.0.113.99"}).status_code == 429


def test_a_lock_can_be_ended(client: Client, olga: User) -> None:
    for _ in range(6):
        log_in(client, "wrong")
    call_command("axes_reset", verbosity=0)
    log_in(client)
    assert is_in(client)


def test_failures_and_one_lock_are_recorded_and_nothing_that_was_typed_is_kept(client: Client, olga: User) -> None:
    for _ in range(8):
        log_in(client, "wrong", username="hunter2-my-password")
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert sorted(actions) == ["failed_login"] * 5 + ["locked_login"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(a::text, ' ') FROM axes_accessattempt a")
        [kept] = cursor.fetchone()
    assert "hunter2" not in kept and "wrong" not in kept
    assert AccessAttempt.objects.exists()


def test_a_session_ends_with_the_working_day_and_its_cookie_is_for_the_browser_alone(
    client: Client, olga: User
) -> None:
    cookie = log_in(client).cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    with time_machine.travel(timezone.now() + timedelta(hours=8, minutes=1), tick=True):
        assert not is_in(client)


def test_a_copy_of_the_database_opens_no_session(client: Client, olga: User) -> None:
    log_in(client)
    session = Session.objects.get()
    assert session.session_key not in (client.cookies["sessionid"].value, "")
    thief = Client()
    thief.cookies["sessionid"] = session.session_key
    assert not is_in(thief)
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_data FROM django_session")
        [data] = cursor.fetchone()
    assert data.startswith("gAAAA")


def test_logging_out_ends_the_session_for_whoever_has_its_cookie(client: Client, olga: User) -> None:
    log_in(client)
    copy = Client()
    copy.cookies["sessionid"] = client.cookies["sessionid"].value
    assert is_in(copy)
    client.post(reverse("admin:logout"))
    assert not is_in(copy) and not Session.objects.exists()


def test_a_session_of_before_is_not_taken_over_at_the_login(client: Client, olga: User) -> None:
    client.cookies["sessionid"] = "chosen-by-somebody-else-00000000"
    log_in(client)
    assert client.cookies["sessionid"].value != "chosen-by-somebody-else-00000000"
    assert is_in(client)


def test_with_a_second_factor_the_password_alone_does_not_do(client: Client, olga: User) -> None:
    secret, _ = set_up(client)
    fresh = Client()
    for code in ("", "000000", "abc", "\0", code_of(secret, later=300)):
        log_in(fresh, code=code)
        assert not is_in(fresh)
        call_command("axes_reset", verbosity=0)
    log_in(fresh, code=code_of(secret))
    assert is_in(fresh)


def test_wrong_codes_are_slowed_down_like_wrong_passwords(client: Client, olga: User) -> None:
    secret, _ = set_up(client)
    fresh = Client()
    for _ in range(5):
        log_in(fresh, code="000000")
    assert log_in(fresh, code=code_of(secret)).status_code == 429


def test_a_code_works_once(client: Client, olga: User) -> None:
    secret, _ = set_up(client)
    code = code_of(secret)
    assert check(user=olga, code=code)
    assert not check(user=olga, code=code)
    assert not check(user=olga, code=code_of(secret, later=-30))


@pytest.mark.django_db(transaction=True)
def test_of_two_who_come_with_one_code_at_once_one_gets_in(client: Client) -> None:
    olga = User.objects.create_superuser("olga", password=PASSWORD)
    secret, recovery = set_up(client)

    def attempt(code: str) -> bool:
        try:
            return check(user=olga, code=code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for code in (code_of(secret), recovery[0]):
            assert sum(pool.map(attempt, [code] * 4)) == 1


def test_a_recovery_code_replaces_the_phone_once(client: Client, olga: User) -> None:
    _, recovery = set_up(client)
    assert len(set(recovery)) == 10
    fresh = Client()
    log_in(fresh, code=recovery[3].upper())
    assert is_in(fresh)
    again = Client()
    log_in(again, code=recovery[3])
    assert not is_in(again)


def test_secrets_and_recovery_codes_are_not_in_the_database(client: Client, olga: User) -> None:
    secret, recovery = set_up(client)
    with connection.cursor() as cursor:
        cursor.execute("SELECT f::text FROM operators_secondfactor f")
        [row] = cursor.fetchone()
    assert secret not in row
    assert not [code for code in recovery if code in row or code.encode().hex() in row]


def test_the_secret_is_shown_until_it_is_confirmed_and_never_again(client: Client, olga: User) -> None:
    log_in(client)
    first = client.get(FACTOR)
    assert "no-store" in first.headers["Cache-Control"]
    assert "not the code of this moment" in words_of(client.post(FACTOR, {"code": "000000"}))
    secret, _ = set_up(client)
    assert secret not in client.get(FACTOR).content.decode()
    client.post(FACTOR, {"code": "000000"})
    assert SecondFactor.objects.filter(confirmed_at__isnull=False).exists()
    client.post(FACTOR, {"code": code_of(secret)})
    assert not SecondFactor.objects.exists()
    shown = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"added_second_factor", "removed_second_factor"} <= shown


def test_a_second_factor_can_be_required(client: Client, olga: User, settings) -> None:
    settings.REQUIRE_SECOND_FACTOR = True
    log_in(client)
    for address in (INDEX, reverse("admin:chats_chat_changelist")):
        assert client.get(address).headers["Location"] == FACTOR
        assert client.post(address, {"action": "end_chats"}).headers["Location"] == FACTOR
    set_up(client)
    assert is_in(client)


def test_the_page_of_the_second_factor_needs_a_login(client: Client, db: None) -> None:
    assert client.get(FACTOR).headers["Location"].startswith(LOGIN)


ELSEWHERE = ("https://evil.example/", "//evil.example/", "javascript:alert(1)", r"\\evil.example")


@pytest.mark.parametrize("next_page", ELSEWHERE)
def test_a_login_leads_nowhere_else(client: Client, olga: User, next_page: str) -> None:
    answer = client.post(f"{LOGIN}?next={next_page}", {"username": "olga", "password": PASSWORD, "next": next_page})
    assert answer.headers["Location"] == INDEX
