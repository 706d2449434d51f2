"""A documentation text as a row of the demo: its running text, without what gives the subject away.

The demo asks what a text is about, so whatever merely names where it comes from is blanked: names of packages, modules
and models, and everything that looks like code. Plain words stay, the label words among them: that a text on graphs
says "graph" is how people write, and a reader would go by it too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from petkit.builtin.docs import prose

__all__ = ["BLANK", "FEWEST", "GIVEAWAYS", "WORDS", "running_text"]

WORDS: Final = 32
"""Words of a row at most."""
FEWEST: Final = 8
"""Words, blanks apart, that a text needs to be a row: fewer leave a reader nothing to go by."""
BLANK: Final = "this"
"""Stands where a name was blanked: a word that reads on, and that every tokenizer knows."""
MOST_BLANKS: Final = 0.16
"""Largest share of blanks among the words of a row."""

_NAMES_THAT_ARE_WORDS = frozenset(["series", "hub", "whisper", "llama", "datasets", "r"])
GIVEAWAYS: Final = _NAMES_THAT_ARE_WORDS | frozenset(
    re.findall(
        r"\S+",
        """
        networkx nx nxg sympy mpmath pandas pd numpy np scipy ndimage sklearn scikit scikit-learn scikit-image skimage torch pytorch
        torchvision nn aten autograd cuda tensorflow tf keras jax onnx huggingface transformers tokenizers sentencepiece tiktoken timm
        dataframe dataframes ndarray ndarrays pil pillow opencv cv2 pyarrow matplotlib pytables fsspec os shutil pathlib zipfile tarfile
        tempfile fileinput filecmp gzip bz2 lzma io textwrap difflib jinja jinja2 mistral gpt pathlike python cpython matlab statsmodels
        graphviz pydot styler expr poly
        """,
    )
)
"""Names of packages, their nicknames and best-known types, in lower case; ``series`` and such, also words, count if capitalised."""

_SECTION = (
    r"(?:Other |Keyword |Additional )?(?:[Aa]rgs|Arguments|Kwargs|Attributes|Parameters|Params|Returns?|Yields|Raises|Warns|Warnings?|"
    r"Examples?|Usage|Notes?|References|See [Aa]lso|Inputs?|Outputs?|Shapes?|Methods|Properties)"
)
_END = re.compile(
    rf"^[ \t]*(?:{_SECTION}[ \t]*\n[ \t]*[-=~^]{{3,}}|{_SECTION}::?(?=\s)|:(?:param|type|returns?|raises)\b|>>>|@\w+\{{)", re.MULTILINE
)
"""Where running text ends: a section of a kind that holds no running text, field lists, example code."""
_TITLE = re.compile(r"^.*\n[ \t]*[-=~^]{3,}[ \t]*$", re.MULTILINE)
_ENTRY = re.compile(r"^\W*\w+ \(.{,120}?\)\s*:|^\W*(int|str|bool|float|dict|list|tuple|\w*[_.]\w*)[\w\[\], ]{,30}\s*:|^\w+ : |^[-*] |^1\. ")
"""A line of a parameter list, or a list."""
_SIGNATURE = re.compile(r"^[\w.*]+\(.*\)(\s*->.*)?$|^[\w.]+\s*=|^@")
_FORMULA = re.compile(r":math:`([^`]*)`|\$([^$\n]+)\$")
_LINK = re.compile(r"\[([^\[\]]+)\]\([^()\s]*\)|`([^`<]+?)\s*(?:<[^`>]*>)?`_{1,2}(?!\w)")
_DROPPED = re.compile(
    r":[a-z]+:(?=\s|$)|\([^()\n]*https?:[^()\n]*\)|https?://\S+|www\.\S+|\[\w+\]_|\[\d+\]|<[^<>\s]*>|\[/?(?:[A-Z]{2,6}\d*|mask|eos|bos|pad|cls|sep|unk)\]|\|[^|\n]*\||\[\[.*?\]\]"
)
_PLAIN = re.compile(
    r"[A-Za-z]?[a-z]*|[A-Z]{2,6}s?|\d+(\.\d+)?%?|[1-4]-?[dD]|\d*(1st|2nd|3rd|\dth)|e\.g|i\.e|[A-Za-z][a-z]*'(s|t|re)|[uU][tT][fF]-?8",
    re.ASCII,
)
_CALL = re.compile(r"\w\(|^[\"'(\[]*\.[A-Za-z]")
_EDGES = "\"'`.,;:!?()[]{}*~"


def running_text(text: str, *, own: str = "", names: frozenset[str] = frozenset()) -> str | None:
    """The first ``WORDS`` words of a docstring's running text with give-aways blanked, or None if too little is left.

    Args:
        text: the docstring. own: the documented object's name; blanked if it is capitalised like a class (a function's
            plain name, as in "the density of a graph", is language). names: further names to blank where they are
            capitalised, as lower-case letters and digits ("conditionaldetr").

    >>> running_text("Return the number of nodes in the :class:`~networkx.Graph`, counting each of them once.")
    'Return the number of nodes in this, counting each of them once.'
    >>> running_text("Parameters\\n----------\\nx : int")
    """
    words: list[str] = []
    for paragraph in _paragraphs(text):
        words += _blanked(paragraph.split(), own if own[:1].isupper() else "", names)
        if len(words) >= WORDS:
            break
    words = words[:WORDS]
    cores = [word.strip(_EDGES).lower() for word in words]
    told = sum(len(core) > 1 and core != BLANK for core in cores)
    return " ".join(words) if told >= FEWEST and cores.count(BLANK) <= MOST_BLANKS * len(words) else None


def _paragraphs(text: str) -> Iterator[str]:
    """Running text up to the first section; titles, signatures and displayed formulas skipped."""
    text = _TITLE.sub("", _END.split(text, maxsplit=1)[0])
    for paragraph in prose(_LINK.sub(lambda m: m[1] or m[2], _FORMULA.sub(_formula, text))).split("\n\n"):
        if _ENTRY.match(paragraph):
            return
        if not _SIGNATURE.match(paragraph) and "\\" not in paragraph:
            yield _DROPPED.sub(" ", paragraph).replace("::", ":")
        if paragraph.endswith(":"):
            return


def _formula(match: re.Match[str]) -> str:
    inner = match[1] or match[2] or ""
    return inner if re.fullmatch(r"\w{1,2}", inner) else BLANK


def _blanked(words: list[str], own: str, names: frozenset[str]) -> list[str]:
    kept: list[str] = []
    for word in _merged(words, names):
        core = word.strip(_EDGES)
        if core and core != own and not _CALL.search(word) and _is_plain(core, names):
            kept.append(word.replace("`", "").replace("*", ""))
        elif core:
            if kept and kept[-1].lower() in {"a", "an", "the", "this"}:
                kept.pop()
            starts = not kept or (kept[-1].endswith(".") and kept[-1] not in {"e.g.", "i.e."})
            kept.append((BLANK.capitalize() if starts else BLANK) + re.sub(r"[^.,;:!?]", "", word[len(word.rstrip(_EDGES)) :])[:1])
    return kept


def _merged(words: list[str], names: frozenset[str]) -> list[str]:
    """Two words that make one name ("Conditional DETR", "Hugging Face") as one."""
    merged: list[str] = []
    for word in words:
        joined = _letters(merged[-1] + word) if merged and word[:1].isupper() and merged[-1][:1].isupper() else ""
        if joined in names or joined in GIVEAWAYS:
            merged[-1] += word
        else:
            merged.append(word)
    return merged


@lru_cache(maxsize=50_000)
def _is_plain(core: str, names: frozenset[str]) -> bool:
    """Whether a word without its edges is language: no code, and no name in any of its parts."""
    pieces = [piece.strip(_EDGES) for piece in re.split(r"[-/\u2013]", core)]
    if any(_is_name(piece, names) for piece in (core, *pieces) if piece):
        return False
    return _PLAIN.fullmatch(core) is not None or all(_PLAIN.fullmatch(piece) for piece in pieces)


def _is_name(piece: str, names: frozenset[str]) -> bool:
    lower = piece.lower().removesuffix("'s")
    capital = piece[0].isupper()
    return (lower in GIVEAWAYS and (capital or lower not in _NAMES_THAT_ARE_WORDS)) or (capital and _letters(piece) in names)


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
