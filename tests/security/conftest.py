"""The operator and the viewer of the admin's tests."""

from tests.admin.conftest import operator, viewer

__all__ = ("operator", "viewer")
