"""A receiver of events: Python 3.11 or newer, and `pip install standardwebhooks`. Copy it and make it yours.

    TEXTING_URL=… TEXTING_API_KEY=… WEBHOOK_SECRET=whsec_… PORT=8001 python receiver.py

It answers as soon as an event is kept, and handles it afterwards; an event that comes twice is handled once. What
happened while it was down it fetches when it starts.
"""

import json
import os
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from client import Texting
from standardwebhooks import Webhook, WebhookVerificationError

LONGEST_BODY = 256 * 1024
Json = dict[str, Any]


def handle(event: Json) -> None:
    """Do what your platform does with an event: here, a line is printed. An exception leaves it for the next start."""
    chat = event["data"].get("chat", {})
    print(event["type"], chat.get("reference") or chat.get("id") or "", flush=True)


class Inbox:
    """The events that came, in a file: kept once each, by their id, and handled in the order in which they came."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._lock = threading.Lock()
        self.arrived = threading.Event()
        with self._lock, self._database:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS events"
                " (position INTEGER PRIMARY KEY, id TEXT UNIQUE, event TEXT, handled INTEGER DEFAULT 0)"
            )
            self._database.execute("CREATE TABLE IF NOT EXISTS seen (only INTEGER PRIMARY KEY, id TEXT)")

    def keep(self, event_id: str, event: Json) -> None:
        """Keep an event, unless it is there: it may be delivered more than once."""
        row = (event_id, json.dumps(event))
        with self._lock, self._database:
            self._database.execute("INSERT OR IGNORE INTO events (id, event) VALUES (?, ?)", row)
        self.arrived.set()

    def catch_up(self, texting: Texting) -> None:
        """Fetch what happened since the last time: webhooks come in order per chat, and only these in one order."""
        with self._lock:
            seen = self._database.execute("SELECT id FROM seen").fetchone()
        for event in texting.list_events(after=seen[0] if seen else None):
            self.keep(event["id"], {key: event[key] for key in ("type", "timestamp", "data")})
            with self._lock, self._database:
                self._database.execute("INSERT OR REPLACE INTO seen VALUES (1, ?)", (event["id"],))

    def handle_all(self) -> None:
        """Handle what is kept and has not been handled, for ever."""
        while True:
            self.arrived.clear()
            with self._lock:
                waiting = self._database.execute(
                    "SELECT position, event FROM events WHERE NOT handled ORDER BY position"
                ).fetchall()
            for position, event in waiting:
                handle(json.loads(event))
                with self._lock, self._database:
                    self._database.execute("UPDATE events SET handled = 1 WHERE position = ?", (position,))
            self.arrived.wait()


def make_handler(inbox: Inbox, webhook: Webhook) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > LONGEST_BODY:
                return self._answer(413)
            try:
                # The bytes as they came: JSON that was read and written again has another signature.
                event = webhook.verify(self.rfile.read(int(length)), dict(self.headers))
            except (WebhookVerificationError, ValueError):
                return self._answer(401)
            inbox.keep(self.headers["webhook-id"], event)
            self._answer(204)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            print(args[1] if len(args) > 1 else format, file=sys.stderr, flush=True)

    return Handler


def main() -> None:
    inbox = Inbox(os.environ.get("INBOX", "events.sqlite3"))
    handler = make_handler(inbox, Webhook(os.environ["WEBHOOK_SECRET"]))
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    inbox.catch_up(Texting(os.environ["TEXTING_URL"], api_key=os.environ["TEXTING_API_KEY"]))
    print("ready", flush=True)
    inbox.handle_all()


if __name__ == "__main__":
    main()
