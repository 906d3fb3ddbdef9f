"""Wrong credentials or an empty balance: the texts wait, operators see why, and all arrive when it is mended."""

import re
import time
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

import pytest
from django.contrib.auth.hashers import make_password

from tests.factories import ALICE, BOB, CHARLIE, OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import wait_until

PEOPLE = ((SARA, OMAR), (ALICE, BOB), (CHARLIE, SARA))
TEXTS_PER_CHAT = 10
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
            f" VALUES ('operator', '{make_password(PASSWORD)}', true, true, true, '', '', '', now())"
        )
        page = self.read("/admin/login/")
        [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page))
        form = {"username": "operator", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": "/admin/"}
        request = Request(f"{service.url}/admin/login/", urlencode(form).encode(), {"Referer": service.url})
        assert "Message log" in self._open(request, timeout=30).read().decode()

    def read(self, path: str) -> str:
        page: str = self._open(self._url + path, timeout=30).read().decode()
        return page


def queue_texts(service: Service) -> dict[tuple[str, str], list[str]]:
    """Text in turns while nobody sends; return what must arrive, by (handset, virtual number), in order."""
    expected: dict[tuple[str, str], list[str]] = {}
    chats = [service.start_chat((first, ""), (second, "")) for first, second in PEOPLE]
    service.wait_until_sent()
    assert service.terminate("sender") == 0
    for index in range(TEXTS_PER_CHAT):
        for (first, second), chat in zip(PEOPLE, chats, strict=True):
            writer, reader = (first, second) if index % 2 else (second, first)
            [number] = chat["virtual_numbers"]
            body = f"{chat['id']} no. {index}"
            service.simulator.text(writer, number, body)
            expected.setdefault((reader, number), []).append(body)
            service.simulator.wait_until_quiet()
    return expected


def find_arrived(service: Service) -> dict[tuple[str, str], list[str]]:
    arrived: dict[tuple[str, str], list[str]] = {}
    for text in service.simulator.texts():
        if text["direction"] == "to_handset" and " no. " in text["text"]:
            arrived.setdefault((text["handset"], text["virtual_number"]), []).append(text["text"])
    return arrived


def read_pause(service: Service) -> list[tuple[object, ...]]:
    return service.query("SELECT pause_code FROM messaging_gatewayaccount WHERE paused_at IS NOT NULL")


@pytest.mark.parametrize("status", [401, 402])
def test_texts_wait_while_the_account_is_refused_and_all_arrive_afterwards(service: Service, status: int) -> None:
    operator = Operator(service)
    expected = queue_texts(service)
    assert sum(map(len, expected.values())) == 30
    service.simulator.set_faults(respond_with={"status": status})
    for name in ("sender", "second"):
        service.start_sender(name)

    wait_until(lambda: read_pause(service) == [(str(status),)], waiting_for="the account to be paused")
    time.sleep(4)
    assert read_pause(service) == [(str(status),)]
    refused = service.simulator.stats()["responses"][str(status)]
    # The first text of each of six people may be on the wire at once; after that, one every 1, 2, 4 … seconds.
    assert 2 <= refused <= len(expected) + 5
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
