"""What is said between processes: exceptions and progress, as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from petkit.errors import UserError
from petkit.executors.messages import described, packed, rebuilt, unpacked
from tests.petkit.executors.executor_units import Awkward


class Local(UserError):
    def __init__(self, row: int) -> None:
        super().__init__(f"row {row}")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(28, "full", "/x"), OSError, "[Errno 28] full: '/x'"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), RuntimeError, "UnicodeDecodeError: 'utf-8' codec can't decode byte 0x78"),
        (Awkward("a", "b"), RuntimeError, "tests.petkit.executors.executor_units.Awkward: ab"),
        (Local(3), UserError, "row 3"),
        (SystemExit(4), SystemExit, "4"),
    ],
)
def test_exceptions_as_messages(error: BaseException, kind: type[BaseException], text: str) -> None:
    again = rebuilt(unpacked(packed(described(error))))
    assert type(again) is kind
    assert str(again).startswith(text)


def test_messages_hold_what_progress_tells() -> None:
    import numpy as np

    facts = {"loss": np.float32(0.5), "rows": np.int64(3), "none": float("nan"), "odd": {1}, "path": Path("x")}
    again = unpacked(packed(facts))
    assert again.pop("none") != facts["none"]
    assert again == {"loss": 0.5, "rows": 3, "odd": "{1}", "path": "x"}
