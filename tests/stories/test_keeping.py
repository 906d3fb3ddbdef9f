"""What somebody finds who gets hold of the database and the files, and how keys are changed while people text."""

import os
import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken

from proxy_project.encryption import find_fingerprint
from tests.factories import ALICE, OMAR, SARA
from tests.harness.service import Service
from tests.harness.simulator import make_attachment, wait_until
from tests.keeping.helpers import assert_absent, spellings
from tests.messaging.samples import make_jpeg

PHOTO = make_attachment(make_jpeg(), name="IMG_1.jpg", caption="the blue gate")
TEXTS = ("I am at the bakery", "two suitcases", "the blue gate", "Whose number is this", "umbrella", "seat by Sarabeth",
         "Stop!!", "Arrêt", "Unstop")  # fmt: skip
NAMES = ("Sarabeth", "Omarion")


def read_files(directory: Path) -> str:
    return "\n".join(path.read_bytes().decode("latin-1") for path in directory.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_copy_of_database_and_files_reveals_neither_number_name_nor_text(service: Service, tmp_path: Path) -> None:
    simulator = service.simulator
    service.start_worker()
    service.call("GET", "/events")
    people = ((SARA, "Sarabeth"), (OMAR, "Omarion"))
    chat = service.start_chat(*people, reference="booking-1", metadata={"note": "seat by Sarabeth"})
    [number] = chat["virtual_numbers"]
    service.wait_until_sent()
    simulator.text(SARA, number, "I am at the bakery, or call (415) 555-0123")
    simulator.text(OMAR, number, "two suitcases, Sarabeth. My other number is +1 415-555-0125")
    simulator.mms(SARA, number, "", PHOTO)
    simulator.text(ALICE, number, "Whose number is this?")
    simulator.text(ALICE, number, "Stop!!")
    simulator.wait_for_text(ALICE)
    simulator.wait_for_text(OMAR, predicate=lambda text: "/media/" in text["text"] or bool(text.get("media")))
    simulator.wait_until_quiet()
    # What is answered names people, and is kept with the opt-out.
    service.call("PUT", "/templates", {"kind": "opted_out", "language": "en", "text": "Bye {name}, of {counterpart}."})
    service.call("PUT", "/templates", {"kind": "opted_in", "language": "en", "text": "Hello again, {name}."})
    simulator.text(SARA, number, "Arrêt")
    simulator.wait_for_text(SARA, "Bye Sarabeth")
    simulator.text(SARA, number, "Unstop")
    simulator.wait_for_text(SARA, "Hello again, Sarabeth")
    service.call("POST", f"/chats/{chat['id']}/end", {"reason": "call +1 (415) 555-0123", "closing_text": "umbrella"})
    simulator.text(OMAR, number, "umbrella")
    simulator.wait_for_text(OMAR, "has ended")
    service.wait_until_sent()

    dumped = service.dump()
    for table in (
        "chats_participant",
        "messaging_message",
        "messaging_optout",
        "platforms_event",
        "procrastinate_jobs",
    ):
        assert re.search(rf"COPY public.{table} .*;\n(?!\\\.)", dumped), f"{table} is empty"
    numbers = [spelling for person in (SARA, OMAR, ALICE) for spelling in spellings(person)]
    assert_absent(dumped, *numbers, *NAMES, *TEXTS)
    stored = read_files(tmp_path / "media")
    assert stored and "\xff\xd8\xff" not in stored
    assert_absent(stored, *numbers, *NAMES, *TEXTS, "JFIF")


@pytest.mark.slow
def test_keys_are_changed_while_people_text(service: Service) -> None:
    old, new = os.environ["ENCRYPTION_KEYS"], Fernet.generate_key().decode()
    simulator = service.simulator
    [number] = service.start_chat((SARA, "Sara"), (OMAR, "Omar"))["virtual_numbers"]
    service.wait_until_sent()
    service.query(
        """INSERT INTO messaging_message (id, direction, kind, status, chat_id, body)
           SELECT gen_random_uuid(), 'in', 'text', 'late', chat_id, body
             FROM messaging_message, generate_series(1, 1500) WHERE chat_id IS NOT NULL"""
    )
    # First everywhere behind the old one, then before it.
    for keys in (f"{old},{new}", f"{new},{old}"):
        service.configure(ENCRYPTION_KEYS=keys)
        for name in ("web", "sender"):
            service.terminate(name)
        service.start_web()
        service.start_sender()
    simulator.text(SARA, number, "before")

    def count_new() -> int:
        rows = service.query("SELECT body FROM messaging_message WHERE body <> ''")
        return sum(_is_under(new, body) for (body,) in rows)

    service.start_command("rotate", "rotate_keys", "--batch-size", "5")
    wait_until(lambda: count_new() > 50, waiting_for="some rows to be encrypted anew", timeout=30)
    service.kill("rotate")
    assert count_new() < 3000
    simulator.text(OMAR, number, "meanwhile")
    said = service.manage("rotate_keys")
    assert f"The key {find_fingerprint(old)} is not needed any more" in said
    simulator.text(SARA, number, "after")
    for person, text in ((OMAR, "before"), (SARA, "meanwhile"), (OMAR, "after")):
        simulator.wait_for_text(person, text)

    service.configure(ENCRYPTION_KEYS=new)
    service.terminate("web")
    service.start_web()
    simulator.text(OMAR, number, "with one key")
    simulator.wait_for_text(SARA, "with one key")


def _is_under(key: str, token: str) -> bool:
    try:
        Fernet(key).decrypt(token)
    except InvalidToken:
        return False
    return True
