"""For ``pytest -p``: read before any test, or torch, is imported."""

from tests.pretended_gpu import pretend

pretend()
