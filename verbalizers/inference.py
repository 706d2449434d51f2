"""Label words for textual inference: MNLI, RTE, CommitmentBank.

MNLI: Schick & Schütze 2021a, section 4.1 (arXiv 2001.07676), two verbalizers.
RTE and CB: Schick & Schütze 2021b, appendix A (arXiv 2009.07118); the second verbalizer of each is for the last pattern.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CB", "CB_TRUE_FALSE", "MNLI_NO_YES", "MNLI_WRONG_RIGHT", "RTE", "RTE_TRUE_FALSE"]

MNLI_WRONG_RIGHT: Final = {"contradiction": "Wrong", "entailment": "Right", "neutral": "Maybe"}
MNLI_NO_YES: Final = {"contradiction": "No", "entailment": "Yes", "neutral": "Maybe"}
RTE: Final = {"not_entailment": "No", "entailment": "Yes"}
RTE_TRUE_FALSE: Final = {"not_entailment": "false", "entailment": "true"}
CB: Final = {"contradiction": "No", "entailment": "Yes", "neutral": "Maybe"}
CB_TRUE_FALSE: Final = {"contradiction": "false", "entailment": "true", "neutral": "neither"}
