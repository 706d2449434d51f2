"""New tokenizers by kind, with the special tokens of the architecture that is to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from petkit.choices import legal_are
from petkit.errors import SettingsError
from petkit.pretraining.bytelevel import train_bytelevel
from petkit.pretraining.needs import needed_tokens
from petkit.pretraining.unigram import train_unigram
from petkit.pretraining.wordpiece import train_wordpiece

__all__ = ["Kind", "new_tokenizer"]

Kind = Literal["wordpiece", "bytelevel", "unigram"]


@dataclass(frozen=True)
class _Style:
    """Special tokens of a family.

    Attributes:
        tokens: in the order of their ids. roles: transformers' name of a role -> its token. last: tokens with the highest ids.
        single, pair: what stands around texts, in the language of ``TemplateProcessing``; None for nothing.
        wide_mask: the blank before a mask belongs to it. lowercase: what is usual. types: whether models read which text a token is of.
    """

    tokens: tuple[str, ...]
    roles: Mapping[str, str]
    single: str | None
    pair: str | None
    last: tuple[str, ...] = ()
    wide_mask: bool = False
    lowercase: bool = False
    types: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def _roles(**tokens: str) -> Mapping[str, str]:
    return MappingProxyType({f"{role}_token": token for role, token in tokens.items()})


_BERT = _Style(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    _roles(pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]", mask="[MASK]"),
    "[CLS] $A [SEP]",
    "[CLS] $A [SEP] $B [SEP]",
    wide_mask=True,
)
_DEBERTA = _Style(_BERT.tokens, _BERT.roles, _BERT.single, "[CLS] $A [SEP] $B:1 [SEP]:1", types=True)
_ALBERT = _Style(
    ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
    _roles(pad="<pad>", unk="<unk>", cls="[CLS]", sep="[SEP]", bos="[CLS]", eos="[SEP]", mask="[MASK]"),
    _DEBERTA.single,
    _DEBERTA.pair,
    wide_mask=True,
    lowercase=True,
    types=True,
)
_ROBERTA = _Style(
    ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    _roles(bos="<s>", pad="<pad>", eos="</s>", unk="<unk>", cls="<s>", sep="</s>", mask="<mask>"),
    "<s> $A </s>",
    "<s> $A </s> </s> $B </s>",
    wide_mask=True,
)
_GPT2 = _Style(("<|endoftext|>", "<|pad|>"), _roles(bos="<|endoftext|>", eos="<|endoftext|>", pad="<|pad|>"), None, None)
_SENTINELS: Final = tuple(f"<extra_id_{number}>" for number in reversed(range(100)))
_T5 = _Style(
    ("<pad>", "</s>", "<unk>"),
    _roles(pad="<pad>", eos="</s>", unk="<unk>"),
    "$A </s>",
    "$A </s> $B </s>",
    last=_SENTINELS,
)
_XLNET = _Style(
    ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"),
    _roles(unk="<unk>", bos="<s>", eos="</s>", cls="<cls>", sep="<sep>", pad="<pad>", mask="<mask>"),
    "$A <sep> <cls>:2",
    "$A <sep> $B:1 <sep>:1 <cls>:2",
    wide_mask=True,
    types=True,
    options=MappingProxyType({"padding_side": "left"}),  # the model reads the last position
)
_STYLES: Final[Mapping[str, _Style]] = MappingProxyType(
    {
        "bytelevel": _ROBERTA,
        "unigram": _T5,
        "roberta": _ROBERTA,
        "bart": _ROBERTA,
        "modernbert": _BERT,
        "gpt2": _GPT2,
        "t5": _T5,
        "xlnet": _XLNET,
        "albert": _ALBERT,
        "deberta-v2": _DEBERTA,
    }
)
"""By architecture; under the kind's own name what is usual for it."""


def new_tokenizer(
    kind: Kind,
    texts: Callable[[], Iterable[str]],
    *,
    size: int,
    keep: Sequence[str] = (),
    lowercase: bool | None = None,
    model_max_length: int = 512,
    architecture: str | None = None,
    objectives: Sequence[Any] = (),
) -> Any:
    """A fast transformers tokenizer with ``size`` pieces at most, trained on texts that are streamed; the same for the same texts.

    ``wordpiece`` (Wu et al. 2016, arXiv 1609.08144) always has BERT's special tokens. ``bytelevel`` BPE (Radford et al. 2019) has
    RoBERTa's, or ModernBERT's, or GPT-2's with a padding token of its own. ``unigram`` (Kudo 2018, arXiv 1804.10959) has T5's with 100
    sentinels, or XLNet's, ALBERT's or DeBERTa's.

    Args:
        texts: gives the texts anew each time it is called.
        keep: words that stay whole: each is one piece after a blank.
        lowercase: None for what is usual (WordPiece and ALBERT: yes; others: no).
        model_max_length: what the tokenizer says of the model that is to read it.
        architecture: whose special tokens; None for the kind's usual ones.
        objectives: rows of petkit.objectives; the special tokens that they need and the architecture lacks are added.

    Raises:
        SettingsError: an unknown kind, or ``size`` leaves no room. DataError: the texts hold nothing.
    """
    if kind == "wordpiece":
        lower = lowercase is None or lowercase
        return train_wordpiece(texts, size=size, keep=keep, lowercase=lower, model_max_length=model_max_length)
    if kind not in ("bytelevel", "unigram"):
        raise SettingsError(f"tokenizer {kind!r} is unknown; {legal_are(kind, ('wordpiece', 'bytelevel', 'unigram'))}")
    style = _STYLES.get(architecture or kind, _STYLES[kind])
    style = _STYLES[kind] if kind == "unigram" and style is _GPT2 else style  # which has no unknown token
    style = _with_needed(style, {name for objective in objectives for name in needed_tokens(objective)})
    lower = style.lowercase if lowercase is None else lowercase
    if kind == "bytelevel":
        backend = train_bytelevel(texts, size=size, specials=(*style.tokens, *style.last), keep=keep, lowercase=lower)
    else:
        unknown = style.roles["unk_token"]
        backend = train_unigram(texts, size=size, specials=style.tokens, last=style.last, unknown=unknown, keep=keep, lowercase=lower)
    return _wrapped(backend, style, kind, model_max_length)


_ADDED: Final[Mapping[str, str]] = MappingProxyType({"bos": "<s>", "eos": "</s>", "mask": "<mask>"})
"""By role: what a family that has no such token gets."""


def _with_needed(style: _Style, needed: set[str]) -> _Style:
    """The family's tokens with those that objectives need too: roles behind the others, sentinels at the end."""
    roles = {f"{role}_token": token for role, token in _ADDED.items() if role in needed and f"{role}_token" not in style.roles}
    wide = style.wide_mask or "mask_token" in roles
    last = style.last or (_SENTINELS if "sentinels" in needed else ())
    return replace(style, tokens=(*style.tokens, *roles.values()), roles={**style.roles, **roles}, last=last, wide_mask=wide)


def _wrapped(backend: Any, style: _Style, kind: Kind, model_max_length: int) -> Any:
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    backend.post_processor = _frame(backend, style, kind)
    roles: dict[str, Any] = dict(style.roles)
    if style.wide_mask:
        roles["mask_token"] = AddedToken(roles["mask_token"], lstrip=True, special=True, normalized=False)
    names = ["input_ids", *(["token_type_ids"] if style.types else []), "attention_mask"]
    more = {"extra_special_tokens": list(style.last)} if style.last else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, **roles, **more, **style.options, model_max_length=model_max_length, model_input_names=names
    )


def _frame(backend: Any, style: _Style, kind: Kind) -> Any:
    from tokenizers import processors

    if style.single is None:
        return processors.ByteLevel(trim_offsets=False)
    if style.single == _ROBERTA.single and kind == "bytelevel":
        sep, cls = ((token, backend.token_to_id(token)) for token in (style.roles["sep_token"], style.roles["cls_token"]))
        return processors.RobertaProcessing(sep, cls, trim_offsets=True, add_prefix_space=False)
    ids = [
        (token, backend.token_to_id(token)) for token in style.tokens if token in f"{style.single} {style.pair}".replace(":", " ").split()
    ]
    return processors.TemplateProcessing(single=style.single, pair=style.pair, special_tokens=ids)
