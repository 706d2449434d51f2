"""A strategy as a value, and how settings write it: ``full``, ``last:2``, ``gradual``, ``adapters:64``, ``lora:8``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from petkit.choices import did_you_mean
from petkit.errors import SettingsError

__all__ = ["FORMS", "FULL", "PLAIN_FORMS", "Strategy", "is_legal", "legal_forms", "strategy"]

Kind = Literal["full", "last", "gradual", "adapters", "lora"]

FORMS: Final = ("full", "last:N", "gradual", "adapters[:WIDTH]", "lora[:RANK]")
"""How each strategy is written."""
PLAIN_FORMS: Final = tuple(form for form in FORMS if not form.startswith("adapters"))
"""Those that leave a model as plain transformers knows it."""

_USUAL: Final = {"adapters": 64, "lora": 8}


@dataclass(frozen=True)
class Strategy:
    """Which weights are trained. The head's own weights always are.

    Attributes:
        kind: "full": all. "last": head and the last layers. "gradual": head first, then one layer more at a time. "adapters":
            bottlenecks in every layer, and norms. "lora": low-rank matrices beside queries and values.
        number: layers of "last", width of "adapters", rank of "lora"; None for the others.
    """

    kind: Kind = "full"
    number: int | None = None

    def __str__(self) -> str:
        return self.kind if self.number is None else f"{self.kind}:{self.number}"


FULL: Final = Strategy()


def is_legal(text: str) -> bool:
    """Whether a strategy is written legally.

    >>> is_legal("last:2"), is_legal("some")
    (True, False)
    """
    try:
        strategy(text)
    except SettingsError:
        return False
    return True


def legal_forms(text: str, forms: Sequence[str], *, why: str = "") -> str:
    """The end of a message about a strategy that is written as none of ``forms`` is.

    >>> legal_forms("adaptor:8", FORMS)
    'legal are full, last:N, gradual, adapters[:WIDTH], lora[:RANK]; did you mean adapters?'
    """
    return f"legal are {', '.join(forms)}{why}" + did_you_mean(text.partition(":")[0], [re.split(r"\W", form)[0] for form in forms])


def strategy(text: str) -> Strategy:
    """A strategy as settings write it. Raises SettingsError that lists the legal forms.

    >>> strategy("last:2"), str(strategy("adapters"))
    (Strategy(kind='last', number=2), 'adapters:64')
    """
    found = re.fullmatch(r"(full|gradual)|(last):(\d{1,4})|(adapters|lora)(?::([1-9]\d{0,4}))?", text)
    if found is None:
        raise SettingsError(f"strategy {text!r} is unknown; {legal_forms(text, FORMS)}")
    if found[1]:
        return Strategy(found[1])  # type: ignore[arg-type]
    if found[2]:
        return Strategy("last", int(found[3]))
    return Strategy(found[4], int(found[5] or _USUAL[found[4]]))  # type: ignore[arg-type]
