"""Wrong credentials or an empty balance: the texts wait, operators see why, and all arrive when it is mended."""

import re
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import pytest
from django.contrib.auth.hashers import make_password

from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until
from tests.stories.bursts import find_arrived, queue_burst

PEOPLE = ((SARA, OMAR), (ALICE, BOB), (CHARLIE, SARA))
PASSWORD = "correct horse battery staple"
PAGES = ("/admin/", "/admin/chats/chat/", "/admin/messaging/message/")


class Operator:
    """Somebody at the admin, in a browser that keeps cookies."""

    def __init__(self, service: Service) -> None:
        self._url = service.url
        self._open = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar())).open
        service.query(
            "INSERT INTO auth_user (username, password, is_superuser, is_staff, is_active, first_name, last_name,"
            " email, date_joined)"
            f" VALUES ('operator', '{make_password(PASSWORD, hasher='pbkdf2_sha256')}', true, true, true,"
            " '', '', '', now())"
        )
        page = self.read("/admin/login/")
        [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page))
        form = {"username": "operator", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        request = Request(f"{service.url}/admin/login/", urlencode(form).encode(), {"Referer": service.url})
        assert "Message log" in self._open(request, timeout=30).read().decode()

    def read(self, path: str) -> str:
        page: str = self._open(self._url + path, timeout=30).read().decode()
        return page


def read_pause(service: Service) -> list[tuple[object, ...]]:
    return service.query("SELECT pause_code FROM messaging_gatewayaccount WHERE paused_at IS NOT NULL")


def count_failed_probes(service: Service) -> int:
    [(failed,)] = service.query("SELECT failed_probes FROM messaging_gatewayaccount")
    return int(failed)


@pytest.mark.slow
@pytest.mark.parametrize("status", [401, 402])
def test_texts_wait_while_the_account_is_refused_and_all_arrive_afterwards(service: Service, status: int) -> None:
    operator = Operator(service)
    expected = queue_burst(service, PEOPLE, texts_per_chat=10)
    assert sum(map(len, expected.values())) == 30
    service.simulator.set_faults(respond_with={"status": status})
    for name in ("sender", "second"):
        service.start_sender(name)

    wait_until(lambda: read_pause(service) == [(str(status),)], waiting_for="the account to be paused")
    wait_until(lambda: count_failed_probes(service) >= 2, waiting_for="two more tries in vain")
    assert read_pause(service) == [(str(status),)]
    refused = service.simulator.stats()["responses"][str(status)]
    # The first text of each of six people may be on the wire at once; after that, one every 1, 2, 4 … seconds.
    assert 3 <= refused <= len(expected) + count_failed_probes(service) + 1
    held = "SELECT DISTINCT status, attempts FROM messaging_message WHERE kind = 'relay' AND status <> 'sending'"
    assert service.query(held) == [("queued", 0)]
    for page in PAGES:
        assert "the account at Vonage is paused" in operator.read(page)
    assert service.call("GET", "/healthz")[0] == 200

    service.simulator.clear_faults()
    service.wait_until_sent(timeout=30)
    assert find_arrived(service) == expected
    assert service.simulator.stats()["responses"][str(status)] <= refused + 2
    assert read_pause(service) == []
    for page in PAGES:
        assert "paused" not in operator.read(page)
    said = "".join(service.log(name) for name in ("sender", "second"))
    assert (said.count('"account paused"'), said.count('"account resumed"')) == (1, 1)
    assert "text not sent" not in said


@pytest.mark.slow
@pytest.mark.parametrize("form", ["messages", "legacy-form"])
def test_texts_that_are_taken_and_then_refused_for_want_of_money_all_arrive(service: Service, form: str) -> None:
    expected = queue_burst(service, PEOPLE, texts_per_chat=4)
    legacy = {"receipt_format": {"format": form, "signature": "sha256"}} if form != "messages" else {}
    service.configure(VONAGE_LEGACY_WEBHOOKS="signed:sha256", UNCONFIRMED_WAIT_SECONDS="30")
    service.terminate("web")
    service.start_web()
    service.simulator.set_faults(
        final_status={"status": "rejected", "error_code": "1070"}, no_receipts={"which": "submitted"}, **legacy
    )
    for name in ("sender", "second"):
        service.start_sender(name)

    wait_until(lambda: count_failed_probes(service) >= 2, timeout=30, waiting_for="two tries in vain")
    taken = service.simulator.stats()["responses"]["202"]
    # What is on the way until the first receipt comes; after that, one every 1, 2, 4 … seconds.
    assert service.query("SELECT count(*) FROM messaging_message WHERE status = 'failed'") == [(0,)]
    assert len(read_pause(service)) == 1

    service.simulator.clear_faults()
    service.wait_until_sent(timeout=60)
    service.simulator.wait_until_quiet()
    assert read_pause(service) == []
    arrived = [text for text in service.simulator.texts() if text["status"] == "delivered"]
    bodies = [text["text"] for text in arrived if " no. " in text["text"]]
    assert sorted(bodies) == sorted(body for each in expected.values() for body in each)
    assert taken < len(bodies) + 40
