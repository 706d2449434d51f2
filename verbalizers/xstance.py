"""Label words for x-stance, by the language of the texts.

Schick & Schütze 2021a, section 4.1 (arXiv 2001.07676). The English words serve multilingual models on texts of any language.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ENGLISH", "FRENCH", "GERMAN"]

ENGLISH: Final = {"FAVOR": "Yes", "AGAINST": "No"}
GERMAN: Final = {"FAVOR": "Ja", "AGAINST": "Nein"}
FRENCH: Final = {"FAVOR": "Oui", "AGAINST": "Non"}
