"""Pretraining objectives: pure functions on arrays of token ids, composed into a table of presets.

    select   TokenRows, rng -> bool (B, T)                       which positions carry a loss
    corrupt  ids, selection -> inputs, targets                   what the model sees there
    noise    TokenRows, rng -> TokenRows                         BART's five; they compose
    row      ids, valid, vocabulary, rng -> the batch's arrays   parts and numbers under a name, with the source

Three users share it: the auxiliary loss of PET members, adapting a checkpoint to raw text, and pretraining.
"""

from petkit.objectives.batches import (
    CausalBatch,
    MaskedBatch,
    PairBatch,
    PermutationBatch,
    ReplacedBatch,
    TextToTextBatch,
    share,
)
from petkit.objectives.corrupt import IGNORED, Boundaries, boundaries, collapse, drop, replace_bert, sentinels
from petkit.objectives.feed import Feed
from petkit.objectives.gather import gather_rows, unit_ids
from petkit.objectives.masked import Distillation, MaskedLanguageModeling, PairPrediction, ReplacedTokenDetection
from petkit.objectives.mixing import draw_sources, equal_rates, mixing_rates
from petkit.objectives.noise import delete_tokens, infill, mask_tokens, permute_sentences, rotate
from petkit.objectives.ordered import NextToken, Permutation
from petkit.objectives.pairs import Documents, PairRows, Pairs, nsp_pairs, pair_rows, sop_pairs
from petkit.objectives.permutation import factorization_order, permutation_masks, select_in_contexts
from petkit.objectives.presets import PRESETS, Objective, adapting_objectives, numbers, objective, plain_objectives, preset, register
from petkit.objectives.replaced import replaced_tokens
from petkit.objectives.rows import TokenRows
from petkit.objectives.segmenting import chinese_segmenter, segmented
from petkit.objectives.select import select_dynamic, select_exact, select_independent, select_suffix, select_whole_words
from petkit.objectives.spans import Lengths, geometric, reciprocal, select_ngrams, select_spans
from petkit.objectives.streams import seed_for, stream
from petkit.objectives.t5 import select_t5_spans, span_counts, t5_lengths
from petkit.objectives.texttotext import NOISES, Denoising, SpanCorruption
from petkit.objectives.vocabulary import Vocabulary

__all__ = [
    "IGNORED",
    "NOISES",
    "PRESETS",
    "Boundaries",
    "CausalBatch",
    "Denoising",
    "Distillation",
    "Documents",
    "Feed",
    "Lengths",
    "MaskedBatch",
    "MaskedLanguageModeling",
    "NextToken",
    "Objective",
    "PairBatch",
    "PairPrediction",
    "PairRows",
    "Pairs",
    "Permutation",
    "PermutationBatch",
    "ReplacedBatch",
    "ReplacedTokenDetection",
    "SpanCorruption",
    "TextToTextBatch",
    "TokenRows",
    "Vocabulary",
    "adapting_objectives",
    "boundaries",
    "chinese_segmenter",
    "collapse",
    "delete_tokens",
    "draw_sources",
    "drop",
    "equal_rates",
    "factorization_order",
    "gather_rows",
    "geometric",
    "infill",
    "mask_tokens",
    "mixing_rates",
    "nsp_pairs",
    "numbers",
    "objective",
    "pair_rows",
    "permutation_masks",
    "permute_sentences",
    "plain_objectives",
    "preset",
    "reciprocal",
    "register",
    "replace_bert",
    "replaced_tokens",
    "rotate",
    "seed_for",
    "segmented",
    "select_dynamic",
    "select_exact",
    "select_in_contexts",
    "select_independent",
    "select_ngrams",
    "select_spans",
    "select_suffix",
    "select_t5_spans",
    "select_whole_words",
    "sentinels",
    "share",
    "sop_pairs",
    "span_counts",
    "stream",
    "t5_lengths",
    "unit_ids",
]
