"""What tests share: real text, tokenizers trained on it, and tiny models with random weights.

Nothing here needs a network. Tokenizers are trained once per session on docstrings of numpy and the standard library,
of which every machine that runs the tests has a copy.

Tokenizers by name (``TOKENIZERS``), each of the class that published checkpoints use:

    wordpiece    BertTokenizer, lower-casing             [CLS] a [SEP] b [SEP]
    bytelevel    RobertaTokenizer, no added prefix space <s> a </s></s> b </s>
    unigram      XLMRobertaTokenizer (Metaspace)         <s> a </s></s> b </s>
    albert       AlbertTokenizer (Metaspace), lower-casing  [CLS] a [SEP] b [SEP]
    deberta      DebertaV2Tokenizer (Metaspace)          [CLS] a [SEP] b [SEP]
    modernbert   byte-level BPE with BERT's special tokens

Families of models (``FAMILIES``): bert, roberta, albert, distilbert, deberta-v2, electra, modernbert.
"""

from __future__ import annotations

import importlib
import inspect
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

LABEL_WORDS: Final = (
    "World", "Sports", "Business", "Tech", "terrible", "bad", "okay", "good", "great", "Yes", "No", "Maybe", "yes", "no",
    "true", "false", "graph", "table", "number", "file",
)  # fmt: skip
"""Words that every tokenizer here keeps whole, after a space and (but for some Unigram ones) without one."""

VOCABULARY: Final = 3000
_MODULES = (
    "numpy",
    "numpy.linalg",
    "argparse",
    "asyncio",
    "collections",
    "datetime",
    "logging",
    "os",
    "random",
    "statistics",
    "string",
    "subprocess",
)
_BERT_SPECIALS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


@cache
def docstrings() -> tuple[str, ...]:
    """Docstrings of numpy and the standard library, in a fixed order: some 800 texts of real English."""
    found: dict[str, None] = {}
    for name in _MODULES:
        module = importlib.import_module(name)
        for attribute in sorted(vars(module)):
            value = vars(module)[attribute]
            if not attribute.startswith("_") and (inspect.isroutine(value) or inspect.isclass(value)):
                found.setdefault(inspect.cleandoc(getattr(value, "__doc__", None) or ""))
    return tuple(text for text in found if len(text) > 40)


@cache
def sentences() -> tuple[str, ...]:
    """Single-line texts of 5 to 40 words: the paragraphs of ``docstrings``, blanks joined."""
    paragraphs = (" ".join(p.split()) for text in docstrings() for p in text.split("\n\n"))
    return tuple(dict.fromkeys(p for p in paragraphs if 5 <= len(p.split()) <= 40))


def _corpus() -> list[str]:
    words = [f"{word} ({word}) {word}, {word}." for word in LABEL_WORDS] * 60
    return [text[:1500] for text in docstrings()] + words


@cache
def tokenizer(name: str) -> Any:
    """The trained tokenizer called ``name`` (one of ``TOKENIZERS``). Shared: a test must not change it."""
    return TOKENIZERS[name]()


def _wordpiece() -> Any:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = list(_BERT_SPECIALS.values())
    backend.train_from_iterator(_corpus(), trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=specials, show_progress=False))
    return transformers.BertTokenizer(vocab=_ordered(backend), model_max_length=512)


def _bytes(specials: list[str]) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=specials, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    backend.train_from_iterator(_corpus(), trainer)
    return backend


def _bytelevel() -> Any:
    backend = _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    state = _state(backend)
    merges: Any = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in state["merges"]]
    return transformers.RobertaTokenizer(vocab=_ordered(backend), merges=merges, model_max_length=512)


def _modernbert() -> Any:
    backend = _bytes(list(_BERT_SPECIALS.values()))
    ids = {token: backend.token_to_id(token) for token in ("[CLS]", "[SEP]")}
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=list(ids.items())
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, **_BERT_SPECIALS, model_max_length=512)


def _pieces(specials: list[str], unknown: str, *, lower: bool = False) -> list[tuple[str, float]]:
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), *([normalizers.Lowercase()] if lower else [])])
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(vocab_size=VOCABULARY, special_tokens=specials, unk_token=unknown, show_progress=False)
    backend.train_from_iterator(_corpus(), trainer)
    return [(piece, score) for piece, score in _state(backend)["vocab"]]


def _unigram() -> Any:
    vocab = _pieces(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "<unk>")
    return transformers.XLMRobertaTokenizer(vocab=vocab, model_max_length=512)


def _albert() -> Any:
    vocab = _pieces(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"], "<unk>", lower=True)
    return transformers.AlbertTokenizer(vocab=vocab, model_max_length=512)


def _deberta() -> Any:
    return transformers.DebertaV2Tokenizer(vocab=_pieces(list(_BERT_SPECIALS.values()), "[UNK]"), model_max_length=512)


def _state(backend: Tokenizer) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(backend.to_str())["model"]
    return model


def _ordered(backend: Tokenizer) -> dict[str, int]:
    return dict(sorted(backend.get_vocab().items(), key=lambda item: item[1]))


TOKENIZERS: Final = {
    "wordpiece": _wordpiece,
    "bytelevel": _bytelevel,
    "unigram": _unigram,
    "albert": _albert,
    "deberta": _deberta,
    "modernbert": _modernbert,
}

_SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
_DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": 512}
_RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "type_vocab_size": 0}
_PLAIN = {"reference_compile": False, "local_attention": 16, "global_attn_every_n_layers": 2}

FAMILIES: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "bert": ("wordpiece", "Bert", {**_SMALL, "max_position_embeddings": 512}),
    "roberta": ("bytelevel", "Roberta", {**_SMALL, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "albert": ("albert", "Albert", {**_SMALL, "embedding_size": 16, "max_position_embeddings": 512}),
    "distilbert": ("wordpiece", "DistilBert", _DISTIL),
    "deberta-v2": ("deberta", "DebertaV2", {**_SMALL, **_RELATIVE, "max_position_embeddings": 512}),
    "electra": ("wordpiece", "Electra", {**_SMALL, "embedding_size": 16, "max_position_embeddings": 512}),
    "modernbert": ("modernbert", "ModernBert", {**_SMALL, **_PLAIN, "max_position_embeddings": 512}),
}
"""Family -> (tokenizer name, prefix of the transformers classes, configuration)."""


def tiny_masked_lm(family: str, folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """A masked LM of ``family`` with random weights, saved into ``folder`` with its tokenizer; returns ``folder``.

    ``config`` overrides entries of the configuration. The weights depend on ``seed`` only; torch's own generator is left as it was.
    """
    model, words = random_masked_lm(family, seed=seed, **config), tokenizer(FAMILIES[family][0])
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def random_masked_lm(family: str, *, seed: int = 0, **config: Any) -> Any:
    """The transformers model of ``tiny_masked_lm``, in evaluation mode, not saved."""
    name, prefix, settings = FAMILIES[family]
    words = tokenizer(name)
    special = {"pad_token_id": words.pad_token_id, "bos_token_id": words.cls_token_id, "eos_token_id": words.sep_token_id}
    special |= {"cls_token_id": words.cls_token_id, "sep_token_id": words.sep_token_id} if family == "modernbert" else {}
    values = {"vocab_size": len(words), **special, **settings, **config}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, f"{prefix}ForMaskedLM")(getattr(transformers, f"{prefix}Config")(**values))
    return model.eval()
