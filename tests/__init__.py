"""Tests, in folders that mirror the package; what they share is in builders.py and conftest.py."""
