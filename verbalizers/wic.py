"""Label words for Words in Context: two verbalizers.

Schick & Schütze 2021b, appendix A (arXiv 2009.07118). ``SENSE`` numbers the second sentence in a dictionary entry:
``(b)`` is another example of sense (1), ``(2)`` is another sense.
"""

from __future__ import annotations

from typing import Final

__all__ = ["NO_YES", "SENSE"]

NO_YES: Final = {"false": "No", "true": "Yes"}
SENSE: Final = {"false": "2", "true": "b"}
