"""Training a WordPiece tokenizer (Wu et al. 2016, arXiv 1609.08144; BERT's pre-tokenisation) on raw text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["train_wordpiece"]

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(texts: Iterable[str], *, size: int, keep: Sequence[str] = (), lowercase: bool = True) -> Any:
    """A fast transformers tokenizer with ``size`` pieces at most.

    Args:
        texts: what to learn from.
        keep: words that must stay whole, such as the label words of tasks; each takes a place in the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def fresh(model: Any) -> Any:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    learned = fresh(models.WordPiece(unk_token="[UNK]"))
    words = sorted({learned.normalizer.normalize_str(word) for word in keep})
    trainer = trainers.WordPieceTrainer(vocab_size=size - len(words), special_tokens=list(SPECIAL_TOKENS), show_progress=False)
    learned.train_from_iterator(texts, trainer)
    vocabulary = learned.get_vocab()
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
        model_max_length=256,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
