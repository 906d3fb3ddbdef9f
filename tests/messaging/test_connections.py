"""A database connection that the server has closed is replaced before a request fails on it."""

import io
from typing import Any

import psycopg
import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, transaction

from proxy_project.sql import execute_prepared
from tests.messaging.payloads import receipt, sms
from tests.messaging.rows import make_queued, read_inbound
from tests.messaging.signing import INBOUND, STATUS, encode, make_token

pytestmark = pytest.mark.django_db(transaction=True)


def serve(path: str, payload: Any) -> int:
    """Answer a signed webhook as gunicorn has it answered, with all that begins and ends a request.

    Django's test client leaves out what closes and checks connections.
    """
    body = encode(payload)
    answered: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"Bearer {make_token(body)}",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
    }
    response = WSGIHandler()(environ, lambda status, headers: answered.append(status))
    response.close()
    return int(answered[0].split()[0])


def backend_id() -> int:
    return connection.connection.info.backend_pid


def close_at_the_server() -> None:
    """Let the server close Django's connection, as it does when it stops, and wait until it has."""
    parameters = connection.get_connection_params()
    address = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    with psycopg.connect(**address, autocommit=True) as other:
        assert other.execute("SELECT pg_terminate_backend(%s, 5000)", [backend_id()]).fetchone() == (True,)


@pytest.fixture
def served(chat):
    """A first webhook has been served, on a connection that is kept."""
    assert serve(INBOUND, sms()) == 200
    assert connection.connection is not None
    return chat


def test_a_connection_is_kept_from_one_request_to_the_next(served):
    before = backend_id()
    assert serve(INBOUND, sms()) == 200
    assert backend_id() == before


def test_a_text_after_the_server_closed_the_connection_is_taken(served):
    before = backend_id()
    close_at_the_server()
    assert serve(INBOUND, sms()) == 200
    assert backend_id() != before
    assert len(read_inbound()) == 2


def test_a_receipt_after_the_server_closed_the_connection_is_taken(served, omar):
    message = make_queued(omar)
    close_at_the_server()
    assert serve(STATUS, receipt(client_ref=str(message.pk), status="delivered")) == 200
    message.refresh_from_db()
    assert message.status == "delivered"


def test_the_connection_is_replaced_each_time_it_is_closed(served):
    for _ in range(3):
        close_at_the_server()
        assert serve(INBOUND, sms()) == 200


def test_a_connection_that_dies_inside_a_transaction_is_an_error_and_the_next_request_is_served(served):
    with pytest.raises(Exception, match=r"terminating connection|closed"), transaction.atomic():
        execute_prepared("SELECT 1", {})
        close_at_the_server()
        execute_prepared("SELECT 1", {})
    assert serve(INBOUND, sms()) == 200


def test_the_check_asks_the_server_nothing(served, django_assert_num_queries):
    assert connection.is_usable()
    with django_assert_num_queries(0):
        assert connection.is_usable()
    close_at_the_server()
    assert not connection.is_usable()
    connection.close()
