"""Words that messages share: flags as a shell reads them, places that are counted."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from petkit.wording import NAMED_PLACES, Places, flag_for


@pytest.mark.skipif(shutil.which("bash") is None, reason="asks bash")
@pytest.mark.parametrize("value", ["a=b c", "it's", '$HOME `id` "x"', "Größe\tin cm", "two\nlines", "it's\\n\n'\\", "\x1b[0m"])
def test_a_shell_reads_back_what_was_meant(value: str) -> None:
    flag = flag_for("--column", value)
    assert flag.isprintable()
    said = subprocess.run(["bash", "-c", f"printf '%s|' {flag}"], capture_output=True, check=True).stdout.decode()
    assert said == f"--column|{value}|"


@pytest.mark.parametrize("count", [0, 1, NAMED_PLACES, NAMED_PLACES + 1, 40])
def test_all_places_are_counted_and_the_first_are_named(count: int) -> None:
    places = Places()
    for number in range(count):
        places.add(str(number))
    named, _, more = str(places).partition(" and ")
    assert named == ", ".join(map(str, range(min(count, NAMED_PLACES))))
    assert more == (f"{count - NAMED_PLACES} more" if count > NAMED_PLACES else "")
