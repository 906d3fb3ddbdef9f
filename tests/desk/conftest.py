"""What the tests of the desk have in common: Sara and Omar text each other; an operator and a viewer look on."""

from tests.admin.conftest import operator, viewer  # noqa: F401
from tests.messaging.conftest import chat, omar, sara  # noqa: F401
