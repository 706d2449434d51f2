"""The table of objectives: name -> parts and numbers, with the source of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from petkit.errors import SettingsError
from petkit.objectives.corrupt import replace_bert
from petkit.objectives.select import BoolArray, IntArray, TokenRows, select_exact, select_independent, select_whole_words
from petkit.objectives.vocabulary import Vocabulary

__all__ = ["PRESETS", "MaskedBatch", "MaskedLanguageModeling", "objective"]

Select = Callable[..., BoolArray]


@dataclass(frozen=True)
class MaskedBatch:
    """What a masked-language-modelling batch becomes.

    Attributes:
        inputs: (B, T) int64, corrupted ids.
        positions: (S,) int64 into the flattened (B T), the selected positions in order. targets: (S,) int64 original ids there.
    """

    inputs: IntArray
    positions: IntArray
    targets: IntArray


@dataclass(frozen=True)
class MaskedLanguageModeling:
    """A selector with BERT's replacement. ``batch`` is pure; the loss is mean cross-entropy at the selected positions."""

    name: str
    select: Select
    source: str
    rate: float = 0.15
    cap: int | None = None
    masked: float = 0.8
    random: float = 0.1
    needs_words: bool = False

    def batch(self, ids: IntArray, maskable: BoolArray, vocabulary: Vocabulary, rng: np.random.Generator) -> MaskedBatch:
        """(B, T) ids and which of them may be selected -> inputs, selected positions and their targets."""
        rows = TokenRows(ids, maskable & ~vocabulary.special[ids], vocabulary.words(ids) if self.needs_words else None)
        options: dict[str, Any] = {} if self.cap is None else {"cap": self.cap}
        selection = self.select(rows, rng, rate=self.rate, **options)
        inputs, targets = replace_bert(ids, selection, rng, vocabulary, masked=self.masked, random=self.random)
        positions = np.flatnonzero(selection)
        return MaskedBatch(inputs, positions, targets.reshape(-1)[positions])


_BERT = "Devlin et al. 2019, section 3.1, arXiv 1810.04805"
PRESETS: Final[Mapping[str, MaskedLanguageModeling]] = {
    preset.name: preset
    for preset in (
        MaskedLanguageModeling("mlm", select_exact, f"{_BERT}; exact count"),
        MaskedLanguageModeling("mlm-independent", select_independent, f"{_BERT}; each token on its own"),
        MaskedLanguageModeling("whole-word", select_whole_words, "Cui et al. 2019, arXiv 1906.08101; whole words", needs_words=True),
    )
}


def objective(name: str, *, rate: float | None = None) -> MaskedLanguageModeling:
    """A preset by name, with another mask rate if given. Raises SettingsError on an unknown name or a rate outside (0, 1]."""
    if name not in PRESETS:
        raise SettingsError(f"--objective {name!r} is unknown; legal are {', '.join(PRESETS)}")
    if rate is None:
        return PRESETS[name]
    if not 0 < rate <= 1:
        raise SettingsError(f"mask rate {rate} is not legal; it lies above 0 and at most 1")
    return replace(PRESETS[name], rate=rate)
