"""Which weights training changes: all, the last layers, ever more of them, adapters, or low-rank matrices."""

from petkit.strategies.names import FORMS, FULL, PLAIN_FORMS, Strategy, is_legal, legal_forms, strategy

__all__ = ["FORMS", "FULL", "PLAIN_FORMS", "Strategy", "is_legal", "legal_forms", "strategy"]
