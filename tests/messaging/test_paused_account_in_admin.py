"""What operators see of a paused account, and of the kinds of errors."""

import pytest
from django.contrib.auth.models import User

from messaging.models import GatewayAccount
from tests.messaging.rows import Status, ago, make_queued

pytestmark = pytest.mark.django_db

PAGES = ["/admin/", "/admin/chats/", "/admin/chats/chat/", "/admin/messaging/message/", "/admin/platforms/platform/"]
BANNER = "the account at Vonage is paused"
REASON = "Vonage refused the credentials of this service."


@pytest.fixture
def operator(client, db: None):
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.fixture
def paused(db: None) -> GatewayAccount:
    return GatewayAccount.objects.create(
        name="vonage", paused_at=ago(minutes=5), probe_at=ago(), pause_code="401", pause_detail=REASON
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_so_until_it_is_over(operator, paused, page):
    html = operator.get(page).content.decode()
    assert BANNER in html and REASON in html
    assert "(401, since" in html and paused.paused_at.strftime("%H:%M:%S") in html
    GatewayAccount.objects.update(paused_at=None)
    assert "paused" not in operator.get(page).content.decode()


def test_the_pages_of_a_chat_and_a_text_say_so(operator, paused, chat, omar):
    message = make_queued(omar)
    for page in (f"/admin/chats/chat/{chat.pk}/change/", f"/admin/messaging/message/{message.pk}/change/"):
        assert BANNER in operator.get(page).content.decode()


def test_strangers_are_told_nothing(client, paused):
    assert "paused" not in client.get("/admin/login/").content.decode()


def test_an_account_that_was_never_paused_is_not_mentioned(operator):
    GatewayAccount.objects.create(name="vonage")
    assert "paused" not in operator.get("/admin/").content.decode()


def test_the_log_shows_and_filters_the_kind_of_error(operator, omar):
    make_queued(omar, status=Status.FAILED, error_code="1070", error_kind="money", error_detail="No credit.")
    for kind, shown in (("money", True), ("carrier", False)):
        html = operator.get(f"/admin/messaging/message/?error_kind__exact={kind}").content.decode()
        assert ("1070" in html) == shown
