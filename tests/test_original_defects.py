"""Measured defects of the original implementation (timoschick/pet) that a user could meet: each has a test that shows we do not share it.

Tested elsewhere:

    data
      a literal [MASK] in a text becomes the slot
          petkit/test_encoding.py::test_special_tokens_in_a_text_stay_text
          petkit/test_members.py::test_a_users_literal_mask_token_is_text
      custom tasks need edits of the program
          petkit/test_loading.py::test_a_file_with_one_task
    clozes and words
      RoBERTa's words split without their blank
          petkit/test_encoding.py::test_a_word_is_tokenised_as_it_stands_in_the_gap
      nothing left to shorten: "max() arg is empty"
          petkit/test_encoding_shortening.py::test_literals_that_are_too_long_are_named_with_every_row
      one of two texts is eaten whole first
          petkit/test_encoding_shortening.py::test_the_longest_text_goes_first_and_the_later_of_two
      every row padded to the maximum
          petkit/test_batching.py::test_real_text_needs_under_three_per_cent_padding
      a full vocabulary at every position
          petkit/backbones/test_forward.py::test_no_logits_are_made_outside_the_slots
      token id 0 counts as missing
          petkit/test_scoring.py::test_token_id_zero_is_a_word_like_any_other
      probability 0 is a math domain error
          petkit/test_scoring.py::test_probability_zero_is_a_finite_score
      words of several tokens: one row at a time
          petkit/test_scoring.py::test_many_rows_share_a_pass
    training
      the language loss is weighed the wrong way round
          petkit/test_losses.py::test_mixing_weighs_the_language_loss_by_a
      padding and the mask slot are targets
          petkit/test_members.py::test_the_patterns_own_mask_special_tokens_and_padding_are_never_targets
      words of several tokens ignore the language loss
          petkit/test_members.py::test_a_step_is_that_of_the_naive_way
      one update too many
          petkit/test_training.py::test_exactly_the_updates_asked_for
      ALBERT's and XLNet's norms are decayed
          petkit/test_training.py::test_no_bias_and_no_norm_is_decayed
      no checkpoint inside a training
          petkit/test_training.py::test_a_run_that_is_stopped_and_resumed_ends_with_the_same_numbers
      the caller's random streams are moved
          petkit/test_pipeline.py::test_random_streams_of_the_caller_are_left_alone
    ensemble and distillation
      stale members take part
          petkit/test_ensemble.py::test_the_members_named_are_mixed_and_no_others
      all weights 0: division by zero
          petkit/test_ensemble.py::test_all_weights_zero_and_no_labelled_test_rows
      no labelled rows: KeyError
          petkit/test_members.py::test_an_untrained_pattern_gives_the_weight
          petkit/test_pipeline.py::test_without_labels_and_without_test_rows
      the classifier cannot be tuned again from files
          petkit/test_ensemble.py::test_the_files_are_enough_to_do_it_again
      a saved model cannot be used on new texts
          petkit/test_predicting.py::test_one_text_gives_what_a_plain_pipeline_gives
    iPET
      three members: zero teachers, and a crash
          petkit/test_ipet.py::test_a_quarter_of_the_others_rounded_and_at_least_one
      banker's rounding
          petkit/test_ipet.py::test_halves_are_rounded_up_never_to_the_even_number
      a label that nobody predicts: an endless loop
          petkit/test_ipet.py::test_a_label_that_nobody_predicts_ends_in_a_shortfall
      too few rows are repeated
          petkit/test_ipet.py::test_too_few_rows_are_taken_all_and_never_repeated
      n_most_likely below the quota: ValueError
          petkit/test_ipet.py::test_a_quota_above_the_most_likely_rows_widens_them
      sets for a generation that never comes
          petkit/test_plan.py::test_units_by_hand
    runs
      a crashed member is skipped by the next run
          petkit/test_pipeline_resume.py::test_dead_at_every_write_point_of_a_larger_run
      --overwrite_output_dir mixes old and new
          petkit/test_pipeline_inputs.py::test_other_settings_data_or_task_are_refused_and_named
      a folder of something else
          petkit/runs/test_refused.py::test_folder_of_something_else_is_left_alone
      models of all members stay on the disk
          petkit/test_plan.py::test_models_are_kept_of_the_last_generation_or_not_at_all
      pickles
          petkit/runs/test_folder.py::test_no_pickle_on_disk
          test_packaging.py::test_no_module_pickles
      the library prints padded examples
          test_packaging.py::test_the_core_is_quiet_and_alone
      the defaults are no recipe of the papers
          petkit/test_settings.py::test_the_papers_preset_is_the_papers
      defaults of flags and of the program differ
          cli/test_train.py::test_without_flags_the_defaults_are_those_of_the_run
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from petkit.backbones import MaskedLM
from petkit.compute import choose_device
from petkit.encoding import Encoder
from petkit.loading import load_task
from petkit.members import MemberData, train_member
from petkit.objectives import Vocabulary
from petkit.pipeline import Data, read_data
from petkit.pvp import PVP, Pattern, Task, Verbalizer
from petkit.rows import Rows
from petkit.scoring import plan
from petkit.settings import MemberSettings, Settings
from tests.builders import random_masked_lm, sentences, tokenizer
from tests.tiny_runs import TOPICS

ROOT = Path(__file__).resolve().parent.parent


def test_the_tests_named_above_are_there() -> None:
    named = re.findall(r"(\S+\.py)::(\w+)", __doc__ or "")
    assert len(named) > 30
    for file, name in named:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{name}"


# Data


def rows(count: int, *, start: int = 0, labels: int = 0, name: str = "r") -> Rows:
    return Rows(
        tuple(f"{name}{i}" for i in range(count)),
        {"text": sentences()[start : start + count]},
        tuple(i % labels for i in range(count)) if labels else (),
    )


def read(*, seed: int = 42, shots: int | None = None, pool: Rows | None = None) -> Data:
    train, unlabeled = rows(60, labels=3), pool or rows(20, start=60, name="u")
    return read_data(TOPICS, Settings(seed=seed), train, unlabeled, None, shots=shots, allow_overlap=False, reading={})


def test_zero_examples_are_none() -> None:
    """`--train_examples 0` uses all of them (tasks.py:41; issues 65, 66)."""
    assert len(read(shots=0).train) == 0
    assert len(read(shots=None).train) == 60


def test_the_seed_draws_the_labelled_rows() -> None:
    """It is 42 whatever --seed says (cli.py:244-249)."""
    draws = {read(seed=seed, shots=3).train.ids for seed in (1, 2, 3)}
    assert len(draws) == 3
    assert read(seed=1, shots=3).train.ids in draws


def test_shots_are_drawn_from_the_whole_file_not_from_its_start() -> None:
    """`--split_examples_evenly` takes the first of each label (tasks.py:73-85)."""
    drawn = {int(name[1:]) for seed in range(8) for name in read(seed=seed, shots=5).train.ids}
    assert max(drawn) > 50


def test_rows_without_a_label_have_none() -> None:
    """They count as the first label (tasks.py:833-834)."""
    assert read(pool=rows(20, start=60, labels=3, name="u")).pool.labels == ()


def test_unlabelled_rows_are_not_limited_in_the_order_of_the_file() -> None:
    settings = Settings(pool_limit=2)
    found = read_data(TOPICS, settings, None, rows(40), None, shots=None, allow_overlap=False, reading={}).pool
    assert len(found) == 6
    assert found.ids != rows(40).ids[:6]


# Clozes and words


def test_wics_classifier_sees_the_word() -> None:
    """Its helper is not registered (tasks.py:787-792), so the classifier sees two sentences and no word."""
    task = load_task("wic")
    texts = task.classifier_texts({"text_a": "The place was large.", "text_b": "They took place.", "word": "place"})
    assert len(texts) == 2
    assert any(text.startswith("place: ") for text in texts)


@pytest.mark.parametrize("name", ["bytelevel", "wordpiece", "unigram", "modernbert"])
def test_a_word_of_several_tokens_needs_no_edit_of_the_program(name: str) -> None:
    """`Verbalization "..." does not correspond to a single token` stops the original; users comment the check out (issues 92, 95)."""
    pvp = PVP(Pattern("{text} ( {mask} )"), Verbalizer({"a": "antidisestablishmentarian", "b": "Sports"}))
    found = plan(Encoder(tokenizer(name)), pvp, rows(3))
    assert found.kind == "multi"
    assert len(found.words[0][0]) > 1
    assert len(found.words[1][0]) == 1


def test_two_words_with_one_beginning_are_told_apart() -> None:
    """With the check commented out the original takes the first piece: two labels, one token."""
    pvp = PVP(Pattern("{text} ( {mask} )"), Verbalizer({"a": "numberless tablefile", "b": "numberless tablegraph"}))
    (one,), (other,) = plan(Encoder(tokenizer("wordpiece")), pvp, rows(3)).words
    assert one[0] == other[0]
    assert one != other


def test_words_live_in_the_task_whatever_their_number() -> None:
    """petal.py writes JSON, and `--verbalizer_file` reads a text format of its own: KeyError. Here words are part of a Python file."""
    several = {"World": ["World", "world", "planet"], "Sports": ("Sports", "match"), "Business": "Business"}
    task = Task(name="t", fields=("text",), patterns=("{mask} {text}",), verbalizer=several)
    assert task.pvps[0].verbalizer.words == (("World", "world", "planet"), ("Sports", "match"), ("Business",))


# Training


class Reads(TorchDispatchMode):
    """Counts, for each update, how often a number was read out of a tensor: on a GPU the host waits for each."""

    def __init__(self) -> None:
        super().__init__()
        self.counts, self.now = list[int](), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.now += str(func).startswith("aten._local_scalar_dense")
        return func(*args, **(kwargs or {}))

    def step(self) -> None:
        self.counts.append(self.now)
        self.now = 0


@pytest.mark.parametrize("words", ["Sports", "numberless tablefile"])
def test_losses_are_read_when_they_are_reported_and_not_before(words: str) -> None:
    """`loss.item()` waits for the GPU in every micro-batch (wrapper.py:312)."""
    tok, pvp = tokenizer("wordpiece"), PVP(Pattern("{text} ( {mask} )"), Verbalizer({"a": words, "b": "World"}))
    model = MaskedLM(random_masked_lm("bert", vocab_size=len(tok)))
    data = MemberData.of(Encoder(tok, max_length=40), pvp, rows(6, labels=2), rows(20, start=60))
    settings = MemberSettings(steps=60, batch=2, accumulate=2, unlabeled_batch=2, mlm_weight=0.1)
    with Reads() as reads:
        context: Any = SimpleNamespace(progress=lambda *told, **means: reads.step(), work=Path("nowhere"))
        train_member(model, data, settings, Vocabulary.of(tok), seed=1, context=context)
    reported = {49: 3, 59: 3}  # loss, label, mlm: each one number, every fifty updates and at the end
    assert {update: count for update, count in enumerate(reads.counts) if count} == reported


# Settings and devices


def test_every_setting_is_read_somewhere() -> None:
    """`--logging_steps` is parsed and never used."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "petkit").rglob("*.py")) if path.name != "settings.py")

    def names(values: dict[str, Any]) -> list[str]:
        return [name for key, value in values.items() for name in (names(value) if isinstance(value, dict) else [key])]

    assert [name for name in names(Settings().as_dict()) if not re.search(rf"\.{name}\b", code)] == []


def test_the_cpu_is_the_cpu_on_a_machine_with_accelerators(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --no_cuda the original still multiplies its batches by the number of GPUs (cli.py:225-226)."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert choose_device("cpu") == "cpu"
