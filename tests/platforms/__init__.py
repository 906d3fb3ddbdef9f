"""Tests of the platforms app."""
