"""A bare Django (bench/bare.py), served as Django usually is: the floor and the peer of what web does."""

import contextlib
from collections.abc import Iterator

from django.db import connection

from bench.load import Address
from bench.stack import HOST, Stack, find_free_port

_THREADS = ("--worker-class", "gthread", "--threads", "4")


@contextlib.contextmanager
def started_bare_web(stack: Stack) -> Iterator[Address]:
    """Yield where it answers; in the end it is stopped, and its table gone."""
    address = (HOST, find_free_port())
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_bare (id bigserial PRIMARY KEY, body bytea NOT NULL)")
    stack.start_gunicorn("bare web", "bench.bare", *_THREADS, port=address[1], path="/")
    try:
        yield address
    finally:
        stack.stop("bare web")
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE bench_bare")
