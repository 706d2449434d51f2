"""Label words for BoolQ: two verbalizers.

Schick & Schütze 2021b, appendix A (arXiv 2009.07118).
"""

from __future__ import annotations

from typing import Final

__all__ = ["NO_YES", "TRUE_FALSE"]

NO_YES: Final = {"no": "No", "yes": "Yes"}
TRUE_FALSE: Final = {"no": "false", "yes": "true"}
