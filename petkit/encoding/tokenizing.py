"""A private, plain view of a tokenizer: text to ids, nothing added, and what surrounds a text in the model's input.

The user's tokenizer is never changed. The copy knows no padding and no truncation and takes special tokens in a text for
text: neither the added tokens nor, for Unigram and WordPiece, the vocabulary's entries of that spelling can match them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, models
from tokenizers import Tokenizer as Backend

from petkit.errors import DataError, ModelError, raise_problems

__all__ = [
    "BOUNDARY",
    "Frame",
    "Ids",
    "Plain",
    "Spans",
    "encoded",
    "frame_of",
    "is_long",
    "is_read_in_part",
    "is_separable",
    "plain_backend",
    "plain_tokenizer",
    "read_rows",
    "spans_of",
]

Ids = NDArray[np.int32]
_Read = TypeVar("_Read")
_HIDDEN: Final = "\ufdd0\ufdd1\ufdd2"
"""Noncharacters before a special token's spelling in the copy, so that no text spells it."""
BOUNDARY: Final = re.compile(r"(?<=[!-~\w]) (?=[!-~\w])")
"""A safe boundary: one space between two letters, digits or ASCII marks."""
_LONG: Final = 10
_CHUNK: Final = 4096
_CHUNK_CHARACTERS: Final = 1_000_000
"""Texts are encoded so many at a time, of so many characters together or a single one: an encoding is some 30 times its text."""
_PROBES: Final = (
    "The quick (brown) fox: it isn't",
    'say "yes" - no, 3.14 ... N. Korea',
    "\u00fcber na\u00efve \u0441\u043b\u043e\u0432\u043e \u4e2d\u6587 end.",
    "a b ' s $5 -- (x) [y] #z",
)


class Spans(NamedTuple):
    """Tokens with their places in the text: ``ids`` (T,) int32, ``starts`` and ``ends`` (T,) int32, in characters."""

    ids: Ids
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]

    def reach(self, kept: int) -> int:
        """How many characters the first ``kept`` tokens cover; without limit if these are all tokens."""
        return sys.maxsize if kept >= len(self.ids) else int(self.ends[kept - 1]) if kept else 0


@dataclass(frozen=True)
class Frame:
    """Special tokens around one or two segments: pairs (token id, type), with (None, type) where a segment stands."""

    single: tuple[tuple[int | None, int], ...]
    pair: tuple[tuple[int | None, int], ...]

    def of(self, segments: int) -> tuple[tuple[int | None, int], ...]:
        """The frame of one or two segments."""
        return self.single if segments == 1 else self.pair

    def specials(self, segments: int) -> int:
        """How many special tokens surround one or two segments."""
        return len(self.of(segments)) - segments


@dataclass(frozen=True)
class Plain:
    """What the encoder needs of a tokenizer.

    ``lead`` is what stands before a cloze's segment: one space for byte-level tokenizers, else nothing.
    ``separable`` says that tokens(left + " " + right) = tokens(left) + tokens(" " + right) at every safe boundary.
    """

    backend: Backend
    frame: Frame
    lead: str
    separable: bool
    pad_id: int
    mask_id: int
    unknown_id: int | None
    special_ids: frozenset[int]
    vocab_size: int

    def ids(self, texts: Sequence[str], *, enough: int | None = None) -> list[Ids]:
        """The tokens of each text, (T,) int32, without special tokens; ``enough`` as for ``encoded``."""
        found = encoded(self.backend, texts, fast=True, enough=enough if self.separable else None)
        return [np.array(one.ids, dtype=np.int32) for one in found]

    def spans(self, texts: Sequence[str], *, enough: int | None = None) -> list[Spans]:
        """The tokens of each text with their places; ``enough`` as for ``encoded``."""
        return spans_of(self.backend, texts, enough=enough if self.separable else None)


def spans_of(backend: Backend, texts: Sequence[str], *, enough: int | None = None) -> list[Spans]:
    """The tokens of each text with their places; ``enough`` as for ``encoded``."""
    return [_spans(one) for one in encoded(backend, texts, fast=False, enough=enough)]


def is_long(text: str, enough: int) -> bool:
    """Whether a text has many times ``enough`` characters, so that a beginning of it may do."""
    return len(text) > _LONG * enough


def is_read_in_part(text: str, enough: int) -> bool:
    """Whether ``encoded`` begins with less than all of a text, and goes on only if that has too few tokens."""
    return len(_beginning(text, _LONG * enough)) < len(text)


def read_rows(
    read: Callable[..., Sequence[_Read]], size: Callable[[_Read], int], rows: Sequence[Sequence[str]], *, enough: int | None, room: int
) -> list[list[_Read]]:
    """The tokens of one or two texts a row, as many as it takes to shorten them to ``enough`` in all.

    Pairs for which it matters which text has more tokens, and of which too little was read to tell, are read whole.

    Args:
        read: ``Plain.ids``, ``Plain.spans`` or the like. size: how many tokens an item of it has.
        room: tokens of both texts of a pair.
    """
    flat = iter(read([text for row in rows for text in row], enough=enough))
    found = [[next(flat) for _ in row] for row in rows]
    if enough is not None:
        unclear = [i for i, row in enumerate(rows) if _unclear(row, [size(one) for one in found[i]], enough, room)]
        again = iter(read([text for i in unclear for text in rows[i]]))
        for i in unclear:
            found[i] = [next(again) for _ in rows[i]]
    return found


def _unclear(texts: Sequence[str], sizes: Sequence[int], enough: int, room: int) -> bool:
    """Whether both texts of a pair have to be shortened, and the one that is the shorter by what was read may be the longer one."""
    if len(texts) < 2 or min(sizes) <= room // 2:
        return False
    return any(is_long(text, enough) for text, size in zip(texts, sizes, strict=True) if size == min(sizes))


def encoded(backend: Backend, texts: Sequence[str], *, fast: bool, enough: int | None = None) -> Iterator[Encoding]:
    """Each text as the backend encodes it, nothing added. Raises DataError on half a surrogate pair.

    Args:
        fast: leave out the places.
        enough: nobody asks for more than so many tokens of a text, and a long one (``is_long``) is read up to a safe boundary after
            which there are more; for backends that are separable. None for all of every text.
    """
    encode = backend.encode_batch_fast if fast else backend.encode_batch
    begun = list(texts) if enough is None else [_beginning(text, _LONG * enough) for text in texts]
    for chunk in _chunks(begun):
        parts = [begun[i] for i in chunk]
        found = _encoded(encode, parts)
        while few := [k for k, i in enumerate(chunk) if len(parts[k]) < len(texts[i]) and len(found[k].ids) <= (enough or 0)]:
            for k in few:
                parts[k] = _beginning(texts[chunk[k]], 2 * len(parts[k]))
            for k, one in zip(few, _encoded(encode, [parts[k] for k in few]), strict=True):
                found[k] = one
        yield from found


def _chunks(texts: Sequence[str]) -> Iterator[list[int]]:
    """The numbers of the texts, in order, so many at a time that encoding them takes little memory."""
    chunk: list[int] = []
    characters = 0
    for i, text in enumerate(texts):
        if chunk and (len(chunk) == _CHUNK or characters + len(text) > _CHUNK_CHARACTERS):
            yield chunk
            chunk, characters = [], 0
        chunk.append(i)
        characters += len(text)
    if chunk:
        yield chunk


def _beginning(text: str, size: int) -> str:
    """The text up to its first safe boundary after ``size`` characters; all of it where there is none."""
    boundary = BOUNDARY.search(text, size)
    return text[: boundary.start()] if boundary else text


def _encoded(encode: Any, texts: list[str]) -> list[Encoding]:
    try:
        found: list[Encoding] = encode(texts, add_special_tokens=False)
    except (TypeError, UnicodeEncodeError) as error:
        raise_problems(DataError, "text that is no Unicode", _surrogates(texts))
        raise error
    return found


def _spans(one: Encoding) -> Spans:
    places = np.array(one.offsets, dtype=np.int32).reshape(-1, 2)
    return Spans(np.array(one.ids, dtype=np.int32), places[:, 0], places[:, 1])


def _surrogates(texts: Sequence[str]) -> list[str]:
    broken = [text for text in texts if re.search("[\ud800-\udfff]", text)]
    return [f"{text[:60]!a} holds half of a surrogate pair; read the file as UTF-8" for text in broken[:5]]


def plain_tokenizer(tokenizer: Any) -> Plain:
    """The plain view of a transformers tokenizer.

    Raises:
        ModelError: if the tokenizer has no fast backend that can be copied, or no mask or padding token.
    """
    state = _state(tokenizer)
    missing = [name for name in ("mask", "pad") if getattr(tokenizer, f"{name}_token_id", None) is None]
    problems = [f"it has no {name} token; take a masked language model's tokenizer (BERT, RoBERTa, ...)" for name in missing]
    raise_problems(ModelError, f"tokenizer {type(tokenizer).__name__}", problems)
    backend = _copy(state)
    bytelevel = '"ByteLevel"' in json.dumps([state["pre_tokenizer"], state["normalizer"]])
    return Plain(
        backend=backend,
        frame=frame_of(tokenizer),
        lead=" " if bytelevel else "",
        separable=is_separable(backend),
        pad_id=int(tokenizer.pad_token_id),
        mask_id=int(tokenizer.mask_token_id),
        unknown_id=tokenizer.unk_token_id,
        special_ids=frozenset(int(i) for i in tokenizer.all_special_ids),
        vocab_size=len(tokenizer),
    )


def plain_backend(tokenizer: Any) -> Backend:
    """The copy alone, which tokenizers without mask or padding token have too (T5, GPT-2). Raises ModelError if it cannot be made."""
    return _copy(_state(tokenizer))


def _state(tokenizer: Any) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Backend):
        raise ModelError(f"tokenizer {type(tokenizer).__name__} has no fast backend (tokenizer.json); save the checkpoint with one")
    try:
        state: dict[str, Any] = json.loads(backend.to_str())
    except Exception as error:
        raise ModelError(f"tokenizer {type(tokenizer).__name__} cannot be copied: {error}") from error
    return state


def _copy(state: dict[str, Any]) -> Backend:
    tokens = [{**t, "content": _HIDDEN + t["content"]} if t["special"] else t for t in state["added_tokens"]]
    specials = {t["content"] for t in state["added_tokens"] if t["special"]}
    bare = {"padding": None, "truncation": None, "post_processor": None, "added_tokens": tokens}
    model = _hidden(state["model"], specials)
    if model is state["model"]:  # the tokens keep their spelling where the vocabulary does
        bare["added_tokens"] = state["added_tokens"]
    backend = Backend.from_str(json.dumps({**state, **bare, "model": model}))
    if model.get("type") == "Unigram":  # reading JSON rounds scores by a bit, which turns ties between two ways to cut a word
        pieces = [(piece, score) for piece, score in model["vocab"]]
        backend.model = models.Unigram(pieces, model.get("unk_id"), model.get("byte_fallback", False))
    backend.encode_special_tokens = True
    return backend


def _hidden(model: dict[str, Any], specials: set[str]) -> dict[str, Any]:
    """The model with its special tokens spelt as no text spells them. BPE reaches them by no merge, so it needs nothing."""
    vocab = model["vocab"]
    if isinstance(vocab, list):
        return {**model, "vocab": [[_HIDDEN + piece if piece in specials else piece, score] for piece, score in vocab]}
    if "merges" in model:
        return model
    unknown = model.get("unk_token")
    renamed = {_HIDDEN + word if word in specials else word: index for word, index in vocab.items()}
    return {**model, "vocab": renamed, "unk_token": _HIDDEN + unknown if unknown in specials else unknown}


def frame_of(tokenizer: Any) -> Frame:
    """The special tokens that a fast tokenizer puts around one or two segments; there may be none (GPT-2)."""
    probe = Backend.from_str(tokenizer.backend_tokenizer.to_str())
    probe.no_padding()
    probe.no_truncation()
    return Frame(_outline(probe.encode("a")), _outline(probe.encode("a", "a")))


def _outline(encoding: Encoding) -> tuple[tuple[int | None, int], ...]:
    """The special tokens of a probe, and one entry per segment."""
    found: list[tuple[int | None, int]] = []
    seen: set[int] = set()
    for token, sequence, kind in zip(encoding.ids, encoding.sequence_ids, encoding.type_ids, strict=True):
        if sequence is None:
            found.append((token, kind))
        elif sequence not in seen:
            found.append((None, kind))
            seen.add(sequence)
    return tuple(found)


def is_separable(backend: Backend) -> bool:
    """Whether tokens(left + " " + right) = tokens(left) + tokens(" " + right) at every safe boundary, by its rules and by trying it."""
    return _separable_rules(json.loads(backend.to_str())) and _separable_probes(backend)


def _separable_rules(state: dict[str, Any]) -> bool:
    """Whether the tokenizer splits at spaces at all: a pre-tokenizer that does, no added token that reaches across one."""
    steps = state["pre_tokenizer"] or {}
    kinds = [json.dumps(step) for step in steps.get("pretokenizers", [steps])]
    if not any(re.search(r'"(BertPreTokenizer|ByteLevel|Metaspace|Whitespace|WhitespaceSplit|Split)"', kind) for kind in kinds):
        return False
    if any('"split": false' in kind for kind in kinds):
        return False
    texts = [token for token in state["added_tokens"] if not token["special"]]
    return not any(token["rstrip"] or re.search(r"\S \S", token["content"]) for token in texts)


def _separable_probes(backend: Backend) -> bool:
    """Whether tokens(left + " " + right) = tokens(left) + tokens(" " + right) at every space of the probes."""

    def ids(text: str) -> list[int]:
        return list(backend.encode(text, add_special_tokens=False).ids)

    return all(ids(probe) == ids(probe[: m.start()]) + ids(probe[m.start() :]) for probe in _PROBES for m in re.finditer(" ", probe))
