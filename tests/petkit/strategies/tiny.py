"""What tests of strategies share: tiny models of every family, trained as members and as classifiers, and what has changed in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from petkit.backbones import MaskedLM
from petkit.classifier import train_classifier
from petkit.encoding import Encoder
from petkit.losses import label_loss
from petkit.members import MemberData, train_member
from petkit.objectives import Vocabulary
from petkit.settings import MemberSettings
from petkit.strategies import strategy
from petkit.training import Trained, TrainSettings
from tests.builders import FAMILIES, random_masked_lm, tokenizer
from tests.petkit.stage_runs import texts
from tests.tiny_runs import TOPICS

LABELED, UNLABELED = texts(4, labels=3), texts(6, start=10, name="u")
STEPS = 6


def member_of(family: str, how: str, *, layers: int = 2, **changes: Any) -> tuple[MaskedLM, dict[str, Tensor], Trained]:
    """A member that was trained, its weights before, and the training's figures."""
    model = MaskedLM(random_masked_lm(family, seed=2, **{_depth(family): layers}))
    before = snapshot(model.model)
    data = MemberData.of(encoder_of(family), TOPICS.pvps[1], LABELED, UNLABELED)
    given = {"steps": STEPS, "learning_rate": 5e-3, "batch": 4, "accumulate": 1, "mlm_weight": 0.05, "weight_decay": 0.5, **changes}
    settings = MemberSettings(strategy=how, **given)
    return model, before, train_member(model, data, settings, Vocabulary.of(tokenizer(FAMILIES[family][0])), seed=1)


def classifier_of(family: str, how: str) -> tuple[Any, dict[str, Tensor], Trained]:
    """The same of an ordinary classifier."""
    model = random_classifier(family)
    before, encoder = snapshot(model), encoder_of(family)
    encoded, labels = encoder.plain(LABELED, TOPICS), np.asarray(LABELED.labels, dtype=np.int64)
    loop = TrainSettings(steps=STEPS, learning_rate=5e-3, weight_decay=0.5)
    options: dict[str, Any] = {"batch": 4, "pad_id": encoder.pad_id, "seed": 1, "how": strategy(how)}
    return model, before, train_classifier(model, encoded, labels, label_loss, loop, **options)


def random_classifier(family: str) -> Any:
    """Three labels, random weights."""
    name, prefix, settings = FAMILIES[family]
    words = tokenizer(name)
    special = {"pad_token_id": words.pad_token_id, "bos_token_id": words.cls_token_id, "eos_token_id": words.sep_token_id}
    special |= {"cls_token_id": words.cls_token_id, "sep_token_id": words.sep_token_id} if family == "modernbert" else {}
    config = getattr(transformers, f"{prefix}Config")(vocab_size=len(words), num_labels=3, **{**special, **settings})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return getattr(transformers, f"{prefix}ForSequenceClassification")(config).eval()


def encoder_of(family: str) -> Encoder:
    """Short rows."""
    return Encoder(tokenizer(FAMILIES[family][0]), max_length=32)


def _depth(family: str) -> str:
    return "n_layers" if family == "distilbert" else "num_hidden_layers"


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Every weight by name, copied."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """Names of the weights that are no longer the same to the bit; new ones are left out."""
    now = dict(model.named_parameters())
    return {name for name, value in before.items() if not torch.equal(now[name], value)}


def rows_of(family: str) -> dict[str, Tensor]:
    """A padded batch of three texts, as plain transformers takes it."""
    words = tokenizer(FAMILIES[family][0])
    found = words(list(UNLABELED.fields["text"][:3]), padding=True, return_tensors="pt", max_length=32, truncation=True)
    return {name: found[name] for name in ("input_ids", "attention_mask")}
