"""The floor of a webhook: its own two SQL statements, run by pgbench as fast as PostgreSQL can."""

import re
import subprocess
import tempfile
from collections.abc import Mapping

from django.db import connection

from bench.stack import find_postgres_programs
from bench.table import BenchError
from bench.world import CHATS, FIRST_VIRTUAL_NUMBER, VIRTUAL_NUMBERS
from chats.lookup import _FIND as LOOKUP
from messaging.inbox import RELAY_STATEMENTS
from proxy_project.encryption import encrypt

# What the service computes in Python, PostgreSQL computes here, at next to no cost. The people are those of
# bench.world that can be counted up.
_LOOKUP_PARAMETERS = {
    "digests": "ARRAY[sha256(int4send(:person))]",
    "to_numbers": "ARRAY['+' || :to_number]",
}
_TEXT = {
    "id": "uuidv7()",
    "status": "'relayed'",
    "gateway_id": "gen_random_uuid()",
    "virtual_number_id": ":number_id::uuid",
    "chat_id": ":chat_id::uuid",
    "participant_id": ":sender_id::uuid",
    "stranger_number": "''",
    "body": ":body::text",
    "error_code": "''",
    "minute_cost": "'1 second'",
    "day_cost": "'43 seconds'",
    "text_digest": "'\\\\x00'",
    "is_same": "false",
    "quick_answers": "0",
    "media_count": "0",
    "relay_status": "'queued'",
    "hold_seconds": "0",
    "revision": ":revision::int",
    "relay_id": "uuidv7()",
    "counterpart_number_id": ":counterpart_number_id::uuid",
    "counterpart_id": ":counterpart_id::uuid",
    "segments": "1",
    "inbound_segments": "1",
    "inbound_price": "0.0057",
    "inbound_currency": "'EUR'",
}
_TEXT_FIELDS = ", ".join(f"'{name}', {value}" for name, value in _TEXT.items())
_RELAY_PARAMETERS = {
    "texts": f"json_build_array(json_build_object({_TEXT_FIELDS}))",
    "now": "now()",
    "send_for_hours": "24",
}
_FOUND = (
    "number_id, sender_id, chat_id, counterpart_id, counterpart_number_id, ended_at, is_scheduled, was_replaced, "
    "cool_down_hours, revision, moves_idle_end, counterpart_opted_out, platform_id, cancel_words_stop, "
    "reference, platform_told, owner_told, is_asked, restriction, disclosure_rules, per_minute, per_day, "
    "minute_whole_at, day_whole_at, last_at, last_text, same_texts, same_since, quick_answers, counterpart_at"
)


def relays_per_second(*, connections: int, seconds: int, text: str) -> float:
    """Return how often a second pgbench looks up, logs and relays a text, with prepared statements."""
    database = connection.get_connection_params()
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_make_script())
        script.flush()
        command = [
            str(find_postgres_programs() / "pgbench"),
            *("-h", database["host"], "-p", str(database["port"]), "-U", database["user"]),
            *("-n", "-M", "prepared", "-c", str(connections), "-j", "2", "-T", str(seconds)),
            *("-D", f"body={encrypt(text)}", "-f", script.name, database["dbname"]),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or not found:
        raise BenchError(f"pgbench failed: {done.stderr.strip()[-1000:]}")
    return float(found[1])


def _make_script() -> str:
    lookup = _fill_in(LOOKUP, _LOOKUP_PARAMETERS)
    return "\n".join(
        (
            f"\\set person random(1, {2 * CHATS})",
            f"\\set to_number {FIRST_VIRTUAL_NUMBER} + (:person - 1) / 2 % {VIRTUAL_NUMBERS}",
            f"SELECT * FROM ({_on_one_line(lookup)}) AS found ({_FOUND}) \\gset",
            f"{_on_one_line(_fill_in(RELAY_STATEMENTS[False, False, False, True], _RELAY_PARAMETERS))};",
            "",
        )
    )


def _fill_in(statement: str, parameters: Mapping[str, str]) -> str:
    return re.sub(r"%\((\w+)\)s", lambda match: parameters[match[1]], statement)


def _on_one_line(statement: str) -> str:
    return " ".join(statement.split())
