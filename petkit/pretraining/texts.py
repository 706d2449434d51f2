"""The raw text of a pretraining run: data sets, their tokenizer, their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from petkit.backbones import load_tokenizer
from petkit.data.text import ENCODING
from petkit.errors import SettingsError
from petkit.files import staged_directory
from petkit.objectives import chinese_segmenter
from petkit.pretraining.architectures import architecture
from petkit.pretraining.corpus import read_documents
from petkit.pretraining.given import goes_by_segmenter
from petkit.pretraining.needs import check_tokenizer
from petkit.pretraining.sections import set_apart
from petkit.pretraining.settings import PretrainSettings
from petkit.pretraining.tokenizers import new_tokenizer
from petkit.pretraining.tokens import SplitTokens, split_documents, split_tokens

__all__ = ["InMemory", "Sources", "Text", "data_sets", "read_texts"]

Documents = Iterable[list[str]]
Segment = Callable[[str], list[str]]


class Text(Protocol):
    """Raw text, a data set of its own."""

    def documents(self) -> Documents:
        """Its documents, lists of paragraphs; every call starts anew."""

    def tokens(self, tokenizer: Any, settings: PretrainSettings, folder: Path, segment: Segment | None) -> SplitTokens:
        """Tokenised into a folder of its own inside ``folder``, or taken from there: several data sets, runs and ranks may share it."""


@dataclass(frozen=True)
class InMemory:
    """Documents that are there already."""

    given: Sequence[list[str]]

    def documents(self) -> Documents:
        """They themselves."""
        return self.given

    def tokens(self, tokenizer: Any, settings: PretrainSettings, folder: Path, segment: Segment | None) -> SplitTokens:
        """Tokenised once, as of ``Sources``. Raises SettingsError where the settings name a column of units: there are no columns."""
        if settings.units is not None:
            raise SettingsError(f"units is {settings.units!r}, a column, and documents in memory have none; give files with that column")
        how: dict[str, Any] = {"held_out": settings.held_out, "seed": settings.seed, "segment": segment}
        return split_documents(self.given, tokenizer=tokenizer, cache=folder, **how)


@dataclass(frozen=True)
class Sources:
    """Files, folders, ``builtin:docs``; read as a stream. ``column``: where the text stands in files with columns.

    ``quotes``: whether ``"`` encloses cells in CSV and TSV.
    """

    paths: tuple[str, ...]
    column: str = "text"
    encoding: str = ENCODING
    quotes: bool = True

    def documents(self) -> Iterator[list[str]]:
        """One source after the other."""
        how: dict[str, Any] = {"column": self.column, "encoding": self.encoding, "quotes": self.quotes}
        return (document for path in self.paths for document in read_documents(path, **how))

    def tokens(self, tokenizer: Any, settings: PretrainSettings, folder: Path, segment: Segment | None) -> SplitTokens:
        """Tokenised once: the same text and tokenizer are found there again."""
        how: dict[str, Any] = {
            "column": self.column,
            "encoding": self.encoding,
            "quotes": self.quotes,
            "held_out": settings.held_out,
            "seed": settings.seed,
            "segment": segment,
            "units": settings.units,
        }
        return split_tokens(list(self.paths), tokenizer=tokenizer, cache=folder, **how)


def data_sets(
    sources: Sequence[str], column: str, *, encoding: str = ENCODING, quotes: bool = True, separate: bool = False
) -> dict[str, Text]:
    """The sources as one data set, or as one each, by the names of the files as far as these differ."""
    if not separate:
        return {"text": Sources(tuple(sources), column, encoding, quotes)}
    stems = [Path(source).stem for source in sources]
    names = [stem if stem and stems.count(stem) == 1 else source for stem, source in zip(stems, sources, strict=True)]
    if len(set(names)) < len(names):  # one file's whole name is another's without its ending
        names = list(sources)
    return {name: Sources((source,), column, encoding, quotes) for name, source in zip(names, sources, strict=True)}


def read_texts(sets: Mapping[str, Text], settings: PretrainSettings, work: Path, cache: Path) -> tuple[Any, dict[str, SplitTokens]]:
    """The tokenizer, and each data set's tokens, in ``cache``. ``work``: where a new tokenizer is kept.

    Raises as ``check_tokenizer``, before anything is tokenised.
    """
    tokenizer = _tokenizer(sets, settings, work / "tokenizer")
    check_tokenizer(tokenizer, settings)
    segment = chinese_segmenter() if any(map(goes_by_segmenter, settings.rows_of_table())) else None
    return tokenizer, {name: text.tokens(tokenizer, settings, cache, segment) for name, text in sets.items()}


def _tokenizer(sets: Mapping[str, Text], settings: PretrainSettings, kept: Path) -> Any:
    """The one asked for, or a new one; that is kept, so that a killed run does not train it again."""
    given = settings.tokenizer or settings.init or settings.teacher
    if given is not None:
        return load_tokenizer(given, trust_remote_code=settings.trust_remote_code, masked=False)
    kind = architecture(settings.arch).tokenizer
    if not kept.is_dir():
        made = new_tokenizer(
            kind,
            lambda: _paragraphs(sets.values(), apart=kind == "bytelevel"),
            size=settings.vocabulary,
            keep=settings.keep,
            model_max_length=settings.max_positions,
            architecture=settings.arch,
            objectives=settings.rows_of_table(),
        )
        with staged_directory(kept) as staging:
            made.save_pretrained(str(staging))
    return load_tokenizer(str(kept), masked=False)


def _paragraphs(texts: Iterable[Text], *, apart: bool) -> Iterator[str]:
    """All paragraphs, ``apart`` with the blanks that byte-level tokenizers read them with."""
    for text in texts:
        documents = set_apart(text.documents()) if apart else text.documents()
        yield from (paragraph for document in documents for paragraph in document)
