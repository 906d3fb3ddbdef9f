"""One run: start everything, let people text while the plan is carried out, let it come to rest, and reconcile."""

import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from django.core.management import call_command
from django.db import OperationalError, connection

from bench.stack import HOST, Stack
from bench.table import BenchError
from chaos.carrier import Carrier
from chaos.disturbing import POSTGRES, Step, make_plan
from chaos.log import end_event_leases, find_stuck, read_log
from chaos.people import TOKEN, People, make_phone_numbers
from chaos.preparing import Size
from chaos.receiver import Receiver
from chaos.reconciling import reconcile
from chats.models import VirtualNumber
from platforms.services import create_platform
from proxy_project import embedded_postgres

CLOCK_AHEAD_SECONDS = 60
_SHIFTED_CLOCK = Path(__file__).parent / "shifted_clock"
_RATE = 200
_WEB = ("-m", "gunicorn", "proxy_project.asgi")
_SENDER = ("manage.py", "send_texts")
_WORKER = ("manage.py", "procrastinate", "worker")


@dataclass
class Outcome:
    """What came of a run: figures in words, and every difference by ids."""

    figures: dict[str, object] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)


class Run:
    """The programs of one run by name; the first of each kind keeps the right time, the second is a minute ahead."""

    def __init__(self, *, seed: int, size: Size, stack: Stack, data_dir: Path, logs: Path) -> None:
        self._seed = seed
        self._size = size
        self._stack = stack
        self._data_dir = data_dir
        self._logs = logs
        self._done: Counter[str] = Counter()
        self._restarts: list[tuple[float, str]] = []
        port = {"PORT": str(self._stack.web[1]), "BIND": HOST}
        kinds = {"web": (2, _WEB, port), "sender": (2, _SENDER, {}), "worker": (size.workers, _WORKER, {})}
        ahead = {"PYTHONPATH": str(_SHIFTED_CLOCK), "CHAOS_CLOCK_AHEAD_SECONDS": str(CLOCK_AHEAD_SECONDS)}
        self._programs = {
            f"{kind}-{number}": (command, environment | (ahead if number == 2 else {}))
            for kind, (programs, command, environment) in kinds.items()
            for number in range(1, programs + 1)
        }

    def carry_out(self) -> Outcome:
        """Do all of it; raises BenchError when it cannot even be done."""
        _say("setting up")
        api_key = self._set_up()
        carrier = Carrier(f"http://{HOST}:{self._stack.simulator[1]}")
        with Receiver(choices=random.Random(self._seed + 1)) as receiver:
            people = People(
                carrier=carrier,
                api_url=f"http://{HOST}:{self._stack.web[1]}",
                api_key=api_key,
                choices=random.Random(self._seed + 2),
                chats=self._size.chats,
                per_second=self._size.texts_per_second,
            )
            try:
                _say("starting")
                for name in self._programs:
                    self._start(name)
                endpoint = people.call("/webhook-endpoints", {"url": receiver.url})
                receiver.secret = endpoint["secret"]
                for _ in range(max(2, self._size.chats // 4)):
                    people.start_next_chat()
                people.start(within_seconds=self._size.seconds * 0.7)
                _say("disturbing")
                self._disturb(carrier)
                people.stop()
                carrier.set_faults({})
                _say("coming to rest")
                rest_seconds = self._come_to_rest(carrier)
                return self._judge(people, receiver, carrier, rest_seconds)
            finally:
                # Without a chance to finish anything: that everything is settled has been seen.
                for name in self._programs:
                    if self._stack.runs(name):
                        self._stack.kill(name)
                self._stack.stop_all()

    def _set_up(self) -> str:
        """Make a database with numbers and a platform, start the simulator, and return the platform's key."""
        call_command("migrate", verbosity=0)
        numbers = make_phone_numbers()
        VirtualNumber.objects.bulk_create(
            VirtualNumber(number=next(numbers), country="US", messages_per_second=_RATE)
            for _ in range(self._size.virtual_numbers)
        )
        api_key = create_platform(name="Chaos").api_key
        connection.close()
        self._stack.start_simulator()
        return api_key

    def _disturb(self, carrier: Carrier) -> None:
        """Carry out the plan; whatever ends by itself is started again, as it is in production."""
        plan = make_plan(
            random.Random(self._seed),
            seconds=self._size.seconds,
            programs=[*self._programs, POSTGRES],
            every_seconds=self._size.every_seconds,
        )
        began = time.monotonic()
        while (now := time.monotonic() - began) < self._size.seconds or plan:
            if plan and plan[0].at <= now:
                step = plan.pop(0)
                if step.program in [name for _, name in self._restarts]:
                    # It is down already, and has its turn once it is up again.
                    plan.insert(0, replace(step, at=now + 0.5))
                else:
                    self._take(step, now, carrier)
            self._restart(now)
            time.sleep(0.05)
        for _, name in self._restarts:
            self._start(name)

    def _take(self, step: Step, now: float, carrier: Carrier) -> None:
        if step.faults:
            carrier.set_faults(step.faults)
        elif step.program == POSTGRES:
            self._crash_postgres(step.down_seconds)
            self._done["crashes of PostgreSQL"] += 1
        else:
            self._stack.kill(step.program)
            self._done[f"kills of a {step.program.partition('-')[0]}"] += 1
            if step.program == "worker-1" and self._size.workers == 1:
                # Nobody waits a minute for the lease of a killed worker to end.
                with contextlib.suppress(OperationalError):
                    end_event_leases()
            self._restarts.append((now + step.down_seconds, step.program))

    def _restart(self, now: float) -> None:
        for name in self._stack.find_ended():
            if name == "simulator":
                raise BenchError("The simulator has ended.")
            self._stack.kill(name)
            self._done[f"{name.partition('-')[0]}s that ended by themselves"] += 1
            self._restarts.append((now + 0.5, name))
        for at, name in list(self._restarts):
            if at <= now:
                self._restarts.remove((at, name))
                self._start(name)

    def _crash_postgres(self, down_seconds: float) -> None:
        """Stop it as a crash does, without a checkpoint or a word to anybody, and start it again."""
        pid_file = self._data_dir / "cluster" / "postmaster.pid"
        # "Immediate shutdown": https://www.postgresql.org/docs/current/server-shutdown.html
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGQUIT)
        deadline = time.monotonic() + 30
        while pid_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(down_seconds)
        embedded_postgres.database_url(data_dir=self._data_dir, database="chaos")

    def _start(self, name: str) -> None:
        command, environment = self._programs[name]
        self._stack.start(name, *command, **environment)

    def _come_to_rest(self, carrier: Carrier) -> float:
        """Wait until nothing is on its way any more, or for too long, and return how long it took."""
        began = time.monotonic()
        self._restarts.clear()
        while (took := time.monotonic() - began) < self._size.rest_seconds:
            self._restart(float("inf"))
            if carrier.stats()["webhooks"]["pending"] == 0 and not find_stuck():
                break
            time.sleep(0.25)
        return took

    def _judge(self, people: People, receiver: Receiver, carrier: Carrier, rest_seconds: float) -> Outcome:
        log, texts, stats = read_log(), carrier.texts(), carrier.stats()
        connection.close()
        differences = list(
            reconcile(
                log=log, chats=people.chats, written=people.written, texts=texts, received=list(receiver.received)
            )
        )
        webhooks = stats["webhooks"]
        if webhooks["lost"] or webhooks["pending"]:
            differences.append(f"{webhooks['lost']} webhooks were lost, and {webhooks['pending']} are still tried")
        if receiver.badly_signed:
            differences.append(f"{receiver.badly_signed} events were badly signed")
        ahead = sum(1 for event in log.events if event.seconds_ahead > CLOCK_AHEAD_SECONDS / 2)
        if not ahead:
            differences.append("nothing was dated by the clock that is a minute ahead")
        differences += self._find_secrets([handset for chat in people.chats for handset in chat.handsets])
        statuses = Counter(row.status for row in log.rows if row.relays)
        kinds = Counter(row.kind for row in log.rows if row.direction == "out")
        tries = stats["responses"]
        return Outcome(
            differences=differences,
            figures={
                "chats started": f"{len(people.chats)} (calls of the API repeated: {people.repeated_calls})",
                "texts written": len(people.written),
                "texts relayed": ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())),
                "texts of our own": ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())
                                              if kind != "relay"),
                "requests to send": ", ".join(f"{tries[code]} × {code}" for code in sorted(tries)),
                "webhooks tried": f"{webhooks['attempts']}, {webhooks['retried']} of them in vain",
                "events": f"{len(log.events)}, received {len(receiver.received)}, refused {len(receiver.refused)}",
                "events dated a minute ahead": ahead,
                **dict(sorted(self._done.items())),
                "faults that struck": ", ".join(
                    f"{name} {count}" for name, count in sorted(stats["faults_struck"].items())
                ),
                "came to rest after": f"{rest_seconds:.1f} s",
            },
        )  # fmt: skip

    def _find_secrets(self, handsets: list[str]) -> Iterator[str]:
        """Yield which log has a phone number or a text in it."""
        numbers = {handset.removeprefix("+") for handset in handsets}
        for path in [*self._logs.glob("*.log"), self._data_dir / "cluster" / "server.log"]:
            said = path.read_text(errors="replace")
            if TOKEN.search(said) or any(number in said for number in numbers):
                yield f"{path.name} has a phone number or a text in it"


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what} …", file=sys.stderr, flush=True)
