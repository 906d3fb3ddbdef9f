"""How gunicorn serves the service; read by a plain `gunicorn proxy_project.asgi` in this directory."""

import os
from pathlib import Path

from environ import Env


class _Settings(Env):
    """What settings read for the service, this has to read for itself; the environment wins over the file.

    In a copy of the environment: in that of the master, which workers inherit, it would win over a file that has been
    changed since, and a reload would not bring in what it says.
    """

    ENVIRON = dict(os.environ)


env_file = Path(os.environ.get("ENV_FILE") or Path(__file__).parent / ".env")
if env_file.is_file():
    _Settings.read_env(env_file)
environ = _Settings.ENVIRON

bind = f"{environ.get('BIND', '127.0.0.1')}:{environ.get('PORT', '8000')}"
workers = int(environ.get("WEB_CONCURRENCY", "2"))
# Requests are read by an event loop, in a tenth of the time that threads of gunicorn take for it; Django runs in
# WEB_THREADS threads of each worker. docs/decisions/0033-webhooks-together.md
worker_class = "proxy_project.web_worker.WebWorker"
# Longer than the 60 seconds for which reverse proxies keep an idle connection: who is about to use it should
# be the one to close it.
keepalive = 75
# With one shared socket, kept-alive connections gather in one worker and leave the others idle.
reuse_port = True
# A worker process whose main thread says nothing for this long is replaced; one whose threads are busy is not. None is
# replaced after a number of requests: memory stays level (`make bench`), and a new one costs a second of a core.
timeout = 30
# Room for a transaction under way to end before a stop; a webhook takes milliseconds.
graceful_timeout = 30
# The heartbeat file on a disk can block a worker for as long as the disk does.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
# What is worth knowing the service logs itself; a line per request costs more than some of the requests.
accesslog = None
# A socket in the home directory that nothing here uses, and that a second service on the machine would share.
control_socket_disable = True
