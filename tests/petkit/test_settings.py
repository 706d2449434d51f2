"""Settings: every rule, all problems at once, names and types from flags and TOML, and the papers' numbers spelled out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petkit.errors import SettingsError
from petkit.settings import METHODS, PRESETS, Settings, apply_changes, batch_problems, from_dict, preset, preset_for, read_toml

BROKEN: list[tuple[str, Any, str]] = [
    ("method", "petals", "method is 'petals'; legal are pet, ipet, single, supervised, zero-shot, tfidf"),
    ("repetitions", 0, "repetitions is 0; at least 1"),
    ("weighting", "mean", "weighting is 'mean'; legal are weighted, uniform"),
    ("temperature", 0, "temperature is 0"),
    ("pool_limit", 0, "pool_limit is 0"),
    ("max_length", 7, "max_length is 7; at least 8"),
    ("joining", "glue", "joining is 'glue'; legal are string, parts"),
    ("decoding", "ltr", "decoding is 'ltr'; legal are max-first, left-to-right, parallel"),
    ("adapt_steps", -1, "adapt_steps is -1; 0 or more"),
    ("adapt_learning_rate", 0, "adapt_learning_rate is 0"),
    ("adapt_objective", "electra", "adapt_objective is 'electra'; legal are mlm, "),
    ("adapt_mask_rate", 0, "adapt_mask_rate is 0.0; above 0 and at most 1, or none"),
    ("token_budget", 255, "max_length is 256 and token_budget, the tokens of a labelling batch, is 255; at most token_budget"),
    ("precision", "float16", "precision is 'float16'; legal are float32, bfloat16"),
    ("threads", 0, "threads is 0"),
    ("keep_members", "all", "keep_members is 'all'; legal are last, none"),
    ("member.mlm_weight", 1.1, "member.mlm_weight is 1.1; a share from 0 to 1"),
    ("member.mask_rate", 0, "member.mask_rate is 0"),
    ("member.unlabeled_batch", -1, "member.unlabeled_batch is -1"),
    ("member.objective", "clm", "member.objective is 'clm'; legal are mlm, mlm-independent, roberta, whole-word, "),
    ("ipet.generations", 0, "ipet.generations: at least 1, or none"),
    ("ipet.scale", 1, "ipet.scale is 1"),
    ("ipet.share", 0, "ipet.share is 0"),
    ("ipet.share", 1.5, "ipet.share is 1.5; above 0 and at most 1"),
    ("ipet.balance", "even", "ipet.balance is 'even'; legal are labeled, pool"),
    ("ipet.most_likely", 0, "ipet.most_likely is 0"),
]
for _part in ("member", "classifier", "supervised"):
    BROKEN += [
        (f"{_part}.steps", 0, f"{_part}.steps is 0; at least 1"),
        (f"{_part}.learning_rate", -1e-5, f"{_part}.learning_rate is -1e-05; above 0 and below 1"),
        (f"{_part}.learning_rate", 1, f"{_part}.learning_rate is 1"),
        (f"{_part}.batch", 0, f"{_part}.batch is 0"),
        (f"{_part}.accumulate", 0, f"{_part}.accumulate is 0"),
        (f"{_part}.weight_decay", -0.1, f"{_part}.weight_decay is -0.1"),
        (f"{_part}.warmup", 1, f"{_part}.warmup is 1"),
        (f"{_part}.clip", 0, f"{_part}.clip is 0"),
        (f"{_part}.strategy", "half", f"{_part}.strategy is 'half'; legal are full, last:N, gradual, "),
    ]


@pytest.mark.parametrize(("name", "value", "message"), BROKEN)
def test_every_rule_is_held_and_names_value_and_legal_ones(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        apply_changes(Settings(), {name: value})
    assert message in str(caught.value)
    assert "problems" not in str(caught.value), "one mistake, one problem"


def test_every_setting_with_a_range_has_a_case_above() -> None:
    free = {"seed", "patterns", "deterministic", "baselines"}
    assert {name for name in _flat(Settings().as_dict()) if name not in {case[0] for case in BROKEN}} == free


@pytest.mark.parametrize("part", ["member", "classifier", "supervised"])
def test_only_members_take_adapters(part: str) -> None:
    """A classifier with adapters is none that plain transformers opens."""
    for strategy in ("full", "last:2", "gradual", "lora", "lora:4"):
        assert getattr(apply_changes(Settings(), {f"{part}.strategy": strategy}), part).strategy == strategy
    if part == "member":
        assert apply_changes(Settings(), {"member.strategy": "adapters:16"}).member.strategy == "adapters:16"
        return
    with pytest.raises(SettingsError, match=r"strategy is 'adapters'; legal are full, last:N, gradual, lora\[:RANK\], so that plain"):
        apply_changes(Settings(), {f"{part}.strategy": "adapters"})


def test_all_problems_come_at_once() -> None:
    """Wrong types, unknown names and broken rules in one message."""
    with pytest.raises(SettingsError) as caught:
        apply_changes(Settings(), {"member.steps": "many", "nonsense": 1, "other.thing": 2, "temperature": -1, "ipet.share": 2})
    message = str(caught.value)
    assert message.startswith("settings: 4 problems")
    for part in ("member.steps is 'many'; a whole number", "nonsense, other.thing", "temperature is -1.0", "ipet.share is 2.0"):
        assert part in message


def test_a_value_made_by_hand_is_checked_too() -> None:
    with pytest.raises(SettingsError, match=r"2 problems(.|\n)*repetitions is 0(.|\n)*threads is 0"):
        Settings(repetitions=0, threads=0)


def test_unknown_names_list_the_legal_ones() -> None:
    with pytest.raises(SettingsError) as caught:
        apply_changes(Settings(), {"member.step": 5})
    for name in _flat(Settings().as_dict()):
        assert name in str(caught.value)
    with pytest.raises(SettingsError, match="no such setting: member;"):
        apply_changes(Settings(), {"member": 3})


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("seed", "7", 7),
        ("seed", 7.0, 7),
        ("seed", "1e3", 1000),
        ("temperature", "1.5", 1.5),
        ("temperature", 3, 3.0),
        ("deterministic", "yes", True),
        ("baselines", "FALSE", False),
        ("baselines", "0", False),
        ("patterns", "0, 2", (0, 2)),
        ("patterns", "", ()),
        ("patterns", [1, 3], (1, 3)),
        ("patterns", 2, (2,)),
        ("weighting", "uniform", "uniform"),
        ("member.clip", "none", None),
        ("member.clip", None, None),
        ("member.clip", "0.5", 0.5),
        ("ipet.generations", "2", 2),
        ("ipet.generations", "None", None),
    ],
)
def test_values_as_typed(name: str, typed: Any, value: Any) -> None:
    found = _flat(apply_changes(Settings(), {name: typed}).as_dict())[name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "typed", "legal"),
    [
        ("seed", "1.5", "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", "inf", "a whole number"),
        ("seed", None, "a whole number"),
        ("seed", [1], "a whole number"),
        ("temperature", "warm", "a number"),
        ("temperature", "nan", "a number"),
        ("temperature", math.inf, "a number"),
        ("member.learning_rate", False, "a number"),
        ("deterministic", "perhaps", "true or false"),
        ("patterns", "first", "a whole number"),
        ("patterns", [[0]], "a whole number"),
        ("ipet.generations", "all", "a whole number"),
    ],
)
def test_values_of_the_wrong_type(name: str, typed: Any, legal: str) -> None:
    with pytest.raises(SettingsError) as caught:
        apply_changes(Settings(), {name: typed})
    assert f"{name} is {typed!r}; {legal} is legal" in str(caught.value)


def test_numbers_without_end_are_refused_by_the_value_itself() -> None:
    with pytest.raises(SettingsError, match="temperature"):
        Settings(temperature=math.inf)
    with pytest.raises(SettingsError, match=r"ipet\.scale"):
        Settings(ipet=replace(Settings().ipet, scale=math.inf))


def test_changes_leave_the_rest_and_the_original_alone() -> None:
    start = preset("small")
    changed = apply_changes(start, {"member.steps": 3, "seed": 1})
    assert (start.member.steps, start.seed) == (150, 42)
    assert _differences(start, changed) == {"member.steps": 3, "seed": 1}


def test_toml_tables_and_dotted_names_mean_the_same(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('method = "ipet"\npatterns = [0, 1]\nmember.batch = 4\n[ipet]\nscale = 3\n[classifier]\nsteps = 9\n', encoding="utf-8")
    dotted = {"method": "ipet", "patterns": "0,1", "member.batch": "4", "ipet.scale": "3", "classifier.steps": "9"}
    assert apply_changes(Settings(), read_toml(str(file))) == apply_changes(Settings(), dotted)


@pytest.mark.parametrize(("content", "said"), [(b"seed = ", "Invalid value"), (b"a = '\xff'", "utf-8"), (None, "No such file")])
def test_files_that_are_no_toml(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "run.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"--config .*run\.toml: ") as caught:
        read_toml(str(file))
    assert said in str(caught.value)


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_come_back_from_json(name: str) -> None:
    assert from_dict(json.loads(json.dumps(preset(name).as_dict()))) == preset(name)


@given(
    st.integers(-(2**40), 2**40),
    st.sampled_from(METHODS),
    st.floats(1e-6, 0.5),
    st.lists(st.integers(0, 9), max_size=3),
    st.none() | st.integers(1, 5),
)
def test_settings_come_back_from_json(seed: int, method: str, rate: float, patterns: list[int], generations: int | None) -> None:
    given = {"seed": seed, "method": method, "member.learning_rate": rate, "patterns": patterns, "ipet.generations": generations}
    made = apply_changes(Settings(), given)
    assert from_dict(json.loads(json.dumps(made.as_dict()))) == made


# The papers' numbers


def test_the_papers_preset_is_the_papers() -> None:
    """Schick & Schütze 2021a, section 4 and appendix."""
    p = preset("paper")
    assert (p.repetitions, p.max_length, p.temperature, p.weighting, p.pool_limit) == (3, 256, 2.0, "weighted", 10_000)
    assert (p.member.batch, p.member.unlabeled_batch, p.member.accumulate) == (1, 3, 4), "(1 labelled + 3 unlabelled) x 4 = 16"
    assert (p.member.steps, p.member.mlm_weight, p.member.mask_rate) == (1000, 1e-4, 0.15)
    assert (p.classifier.steps, p.classifier.batch * p.classifier.accumulate) == (5000, 16)
    assert (p.supervised.steps, p.supervised.batch * p.supervised.accumulate) == (250, 16)
    for part in (p.member, p.classifier, p.supervised):
        assert (part.learning_rate, part.weight_decay, part.clip, part.warmup) == (1e-5, 0.01, 1.0, 0.0)
    assert (p.ipet.generations, p.ipet.scale, p.ipet.share, p.ipet.most_likely) == (None, 5.0, 0.25, 100)
    assert (p.joining, p.decoding, p.adapt_steps) == ("parts", "max-first", 0)


def test_the_superglue_preset_is_the_second_papers() -> None:
    """Schick & Schütze 2021b, section 4: 16 labelled rows, 250 steps, no MLM loss."""
    p = preset("superglue")
    assert (p.member.batch * p.member.accumulate, p.member.steps, p.member.mlm_weight, p.member.unlabeled_batch) == (16, 250, 0.0, 0)
    rest = set(_differences(preset("paper"), p))
    assert rest == {"member.steps", "member.batch", "member.accumulate", "member.unlabeled_batch", "member.mlm_weight"}


def test_large_differs_from_the_paper_by_tokenising_whole_clozes_only() -> None:
    assert _differences(preset("paper"), preset("large")) == {"joining": "string"}


def test_the_preset_follows_the_size_of_the_model() -> None:
    assert [preset_for(size) for size in (4_000_000, 49_999_999, 50_000_000, 355_000_000)] == ["small", "small", "large", "large"]


def test_unknown_presets_name_the_legal_ones() -> None:
    with pytest.raises(SettingsError, match="--preset 'tiny' is unknown; legal are auto, paper, superglue, large, small"):
        preset("tiny")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _differences(one: Settings, other: Settings) -> dict[str, Any]:
    before, after = _flat(one.as_dict()), _flat(other.as_dict())
    return {name: value for name, value in after.items() if value != before[name]}


def test_lengths_and_budgets_that_contradict_each_other_are_both_named() -> None:
    for changes in ({"max_length": "99999999"}, {"token_budget": 255}):
        found = Settings().as_dict() | changes
        both = f"max_length is {found['max_length']} and token_budget, the tokens of a labelling batch, is {found['token_budget']}"
        with pytest.raises(SettingsError, match=f"^settings: {both}; at most token_budget is legal for max_length$"):
            apply_changes(Settings(), changes)
    assert apply_changes(Settings(), {"max_length": 9000, "token_budget": 9000}).max_length == 9000


EVERY = {"member.batch": 481, "member.unlabeled_batch": 801, "classifier.batch": 801, "supervised.batch": 481}
"""One more than eight times 60 labelled and 100 unlabelled rows."""


@pytest.mark.parametrize(
    ("method", "labeled", "refused"),
    [
        ("pet", 60, ["member.batch", "member.unlabeled_batch", "classifier.batch", "supervised.batch"]),
        ("pet", 61, ["member.unlabeled_batch", "classifier.batch"]),
        ("ipet", 60, ["member.unlabeled_batch", "classifier.batch", "supervised.batch"]),
        ("pet", 0, ["classifier.batch"]),
        ("zero-shot", 0, ["classifier.batch"]),
        ("supervised", 60, ["supervised.batch"]),
        ("tfidf", 60, []),
    ],
)
def test_batches_far_beyond_the_rows_are_refused_where_they_are_used(method: str, labeled: int, refused: list[str]) -> None:
    settings = apply_changes(Settings(method=method), EVERY)
    assert [problem.split()[0] for problem in batch_problems(settings, labeled=labeled, unlabeled=100)] == refused
    assert batch_problems(settings, labeled=61, unlabeled=101) == []


def test_later_generations_learn_from_unlabelled_rows_too() -> None:
    settings = apply_changes(Settings(method="ipet"), {"member.batch": 145})
    assert batch_problems(settings, labeled=8, unlabeled=11) == []
    assert batch_problems(settings, labeled=8, unlabeled=10) == [
        "member.batch is 145, and there are 18 labelled and unlabelled rows; at most 144 (each of them 8 times) is legal"
    ]


def test_batches_without_a_part_in_the_run_are_not_looked_at() -> None:
    for change, left in (({"member.mlm_weight": 0}, "member.unlabeled_batch"), ({"baselines": False}, "supervised.batch")):
        found = batch_problems(apply_changes(Settings(), EVERY | change), labeled=60, unlabeled=100)
        assert len(found) == 3
        assert not any(problem.startswith(left) for problem in found)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_do_with_very_few_rows(name: str) -> None:
    assert batch_problems(PRESETS[name], labeled=1, unlabeled=2) == []


def test_ordinary_batches_may_repeat_rows_and_far_larger_ones_may_not() -> None:
    assert batch_problems(apply_changes(Settings(), {"member.batch": 64}), labeled=50, unlabeled=2) == []
    assert batch_problems(apply_changes(Settings(), {"classifier.batch": 32}), labeled=3, unlabeled=2) == []
    assert batch_problems(apply_changes(Settings(), {"classifier.batch": 33}), labeled=3, unlabeled=2) == [
        "classifier.batch is 33, and there are 2 unlabelled rows; at most 32 is legal"
    ]
