"""Run the simulator: `python -m simulator`."""

import asyncio
import logging
import signal
import sys
import traceback
from types import TracebackType

from aiohttp import web

from simulator.app import make_app
from simulator.settings import Settings, SettingsError, read_settings

_SHUTDOWN_S = 0.5
_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _DiscreetFormatter(logging.Formatter):
    """Leaves out what exceptions say, because it may quote a phone number or a text."""

    def formatException(self, ei: _ExceptionInfo) -> str:
        kind, _, trace = ei
        return f"{''.join(traceback.format_tb(trace))}{kind.__name__ if kind else None}"

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.partition("\n")[0]
        return super().formatMessage(record)


def main() -> int:
    try:
        settings = read_settings(sys.argv[1:])
    except SettingsError as error:
        return _fail(str(error))
    handler = logging.StreamHandler()
    handler.setFormatter(_DiscreetFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    try:
        asyncio.run(serve(settings))
    except OSError as error:
        return _fail(f"Cannot listen on {settings.host} port {settings.port}: {error.strerror or error}.")
    return 0


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; raises OSError when the address cannot be had."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(make_app(settings), access_log=None, shutdown_timeout=_SHUTDOWN_S, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        print(f"simulator ready on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
        await stopping.wait()
    finally:
        await runner.cleanup()


def _fail(sentence: str) -> int:
    print(f"simulator: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
