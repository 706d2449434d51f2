"""Training a WordPiece tokenizer (Wu et al. 2016, arXiv 1609.08144; BERT's pre-tokenisation) on raw text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

__all__ = ["train_wordpiece"]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(
    texts: Iterable[str] | Callable[[], Iterable[str]],
    *,
    size: int,
    keep: Sequence[str] = (),
    lowercase: bool = True,
    model_max_length: int = 256,
) -> Any:
    """A fast transformers tokenizer with ``size`` pieces at most, the same ones for the same texts.

    Every character of the texts is a piece, so there are more where the characters alone are.

    Args:
        texts: what to learn from; as a function it is asked twice, so that no text has to be held.
        keep: words that must stay whole, such as the label words of tasks; each takes a place in the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def fresh(model: Any) -> Any:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    def learn(size: int, first: Sequence[str]) -> dict[str, int]:
        tokenizer = fresh(models.WordPiece(unk_token="[UNK]"))
        tokenizer.train_from_iterator(again(), trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(first), show_progress=False))
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        return vocabulary

    again = texts if callable(texts) else partial(iter, list(texts))
    words = sorted({normalizers.BertNormalizer(lowercase=lowercase).normalize_str(word) for word in keep})
    # The trainer numbers characters inside words in the order of a hash table, another one each time, and breaks ties between
    # merges by these numbers. So a first pass, without merges, finds them, and the second is given them in a fixed order.
    inside = sorted(piece for piece in learn(0, SPECIAL_TOKENS) if piece.startswith("##"))
    vocabulary = learn(size - len(words), [*SPECIAL_TOKENS, *inside])
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
    final = fresh(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    final.decoder = decoders.WordPiece()
    cls, sep = ("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])
    final.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[cls, sep]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=final,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=model_max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
