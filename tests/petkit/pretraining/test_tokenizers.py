"""New tokenizers: special tokens and frames of their family, words kept, the same in every process, and transformers opens them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import AutoTokenizer

from petkit.encoding.tokenizing import plain_backend
from petkit.errors import DataError, SettingsError
from petkit.objectives import PRESETS, Vocabulary, preset, presets, register
from petkit.pretraining.architectures import ARCHITECTURES, kind_of
from petkit.pretraining.needs import missing_tokens, needed_tokens
from petkit.pretraining.tokenizers import new_tokenizer
from tests.builders import docstrings, sentences

KEEP = ("Sports", "terrible", "Caf\u00e9", "xylophone", "World Cup's")
SIZE = 600
ALL = [(row.tokenizer, row.name) for row in ARCHITECTURES.values()]


def texts() -> Iterator[str]:
    return iter(docstrings()[:50])


@cache
def made(kind: Any, architecture: str | None = None, size: int = SIZE, keep: tuple[str, ...] = KEEP[:4]) -> Any:
    return new_tokenizer(kind, texts, size=size, keep=keep, model_max_length=128, architecture=architecture)


# What every kind does


@pytest.mark.parametrize(("kind", "architecture"), ALL)
def test_size_ids_and_length_are_as_asked(kind: Any, architecture: str) -> None:
    words = made(kind, architecture)
    assert sorted(words.get_vocab().values()) == list(range(len(words)))
    assert SIZE - 10 <= len(words) <= SIZE
    assert words.model_max_length == 128
    assert words.is_fast


@pytest.mark.parametrize(("kind", "architecture"), ALL)
def test_words_to_keep_are_one_piece_after_a_blank(kind: Any, architecture: str) -> None:
    words, naive = made(kind, architecture), made(kind, architecture, keep=())
    before = len(words("a", add_special_tokens=False)["input_ids"])
    for word in KEEP[:4]:
        found = words(f"a {word}", add_special_tokens=False)["input_ids"]
        assert len(found) == before + 1
        assert words.decode(found[before:]).strip().lower() in (word.lower(), "cafe")
    assert len(naive("a xylophone", add_special_tokens=False)["input_ids"]) > before + 1  # not just learned from the text


@pytest.mark.parametrize(("kind", "architecture"), ALL)
def test_text_comes_back(kind: Any, architecture: str) -> None:
    words = made(kind, architecture)
    for text in ("it returns a file", "numbers of the graph"):
        assert words.decode(words(text)["input_ids"], skip_special_tokens=True).strip() == text
    assert all(words.unk_token_id not in words(text)["input_ids"] for text in docstrings()[:50]) or kind == "bytelevel"


@pytest.mark.parametrize(("kind", "architecture"), ALL)
def test_saved_and_opened_by_transformers_it_gives_the_same_ids(kind: Any, architecture: str, tmp_path: Path) -> None:
    words = made(kind, architecture)
    words.save_pretrained(tmp_path)
    for config in (False, True):
        if config:  # beside a model of the architecture, whose class of tokenizer transformers knows
            transformers.AutoConfig.for_model(architecture).save_pretrained(tmp_path)
        opened = AutoTokenizer.from_pretrained(tmp_path)
        mask = words.mask_token or words.eos_token
        for text in (*sentences()[:40], f"Caf\u00e9 {mask} xylophone!", ""):
            assert dict(opened(text)) == dict(words(text))
        assert dict(opened("a file", "a table")) == dict(words("a file", "a table"))
        assert (opened.get_vocab(), opened.model_max_length) == (words.get_vocab(), 128)
        assert opened.special_tokens_map == words.special_tokens_map
        assert opened.all_special_ids == words.all_special_ids
        assert opened.padding_side == words.padding_side


@pytest.mark.parametrize(("kind", "architecture"), ALL)
def test_objectives_find_what_they_need(kind: Any, architecture: str) -> None:
    words, row = Vocabulary.of(made(kind, architecture)), ARCHITECTURES[architecture]
    assert words.special[words.pad_id]
    assert 0 < words.starts_word[words.ordinary].mean() < 1
    assert words.stops is not None
    assert words.stops.sum() >= 1
    needs = {
        "masked": ("mask_id", "cls_id", "sep_id"),
        "pairs": ("mask_id", "cls_id", "sep_id"),
        "replaced": ("mask_id", "cls_id", "sep_id"),
        "distilled": ("mask_id", "cls_id", "sep_id"),
        "text-to-text": ("eos_id",),
        "causal": ("eos_id",),
        "permutation": ("eos_id",),
    }
    for kind_of_objective in row.kinds:
        for name in needs[kind_of_objective]:
            assert words.special[words.need(name, "any")]
    assert len(words.sentinels) == (100 if architecture == "t5" else 0)
    if architecture == "bart":
        assert words.special[[words.need("mask_id", "bart"), words.need("bos_id", "bart")]].all()


LEARNABLE = sorted(
    {
        (row.name, tuple(sorted(needed_tokens(objective))), objective.name)
        for row in ARCHITECTURES.values()
        for objective in PRESETS.values()
        if kind_of(objective) in row.kinds
    }
)


@cache
def made_for(architecture: str, needed: tuple[str, ...], name: str) -> Any:
    """As ``petkit pretrain`` makes it for this objective; what is made depends on what it needs alone."""
    kind = ARCHITECTURES[architecture].tokenizer
    return new_tokenizer(kind, texts, size=SIZE, model_max_length=128, architecture=architecture, objectives=[preset(name)])


@pytest.mark.parametrize(("architecture", "needed"), sorted({case[:2] for case in LEARNABLE}))
def test_a_new_tokenizer_has_what_every_objective_of_its_architecture_needs(architecture: str, needed: tuple[str, ...]) -> None:
    names = [name for other, tokens, name in LEARNABLE if (other, tokens) == (architecture, needed)]
    vocabulary = Vocabulary.of(made_for(architecture, needed, names[0]))
    for name in names:
        assert missing_tokens(preset(name), vocabulary, length=512) == []
    assert vocabulary.special[list(vocabulary.sentinels)].all()


@pytest.mark.parametrize(("architecture", "name"), [("t5", "bart"), ("bart", "t5")])
def test_added_special_tokens_change_nothing_else_and_are_saved(architecture: str, name: str, tmp_path: Path) -> None:
    words, plain = (
        made_for(architecture, tuple(sorted(needed_tokens(preset(name)))), name),
        made(ARCHITECTURES[architecture].tokenizer, architecture),
    )
    ids = {role: getattr(plain, role) for role in ("pad_token", "eos_token", "unk_token")}
    assert ids.items() <= words.special_tokens_map.items()
    pair = [words.convert_ids_to_tokens(i) for i in words("a", "a")["input_ids"] if i in words.all_special_ids]
    assert pair == [plain.convert_ids_to_tokens(i) for i in plain("a", "a")["input_ids"] if i in plain.all_special_ids]
    words.save_pretrained(tmp_path)
    transformers.AutoConfig.for_model(architecture).save_pretrained(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert opened.get_vocab() == words.get_vocab()
    assert opened.special_tokens_map == words.special_tokens_map
    assert Vocabulary.of(opened).sentinels == Vocabulary.of(words).sentinels
    for text in sentences()[:20]:
        assert dict(opened(text)) == dict(words(text))


def test_what_an_objective_lacks_is_named() -> None:
    t5, gpt2 = Vocabulary.of(made("unigram", "t5")), Vocabulary.of(made("bytelevel", "gpt2"))
    assert missing_tokens(preset("bart"), t5, length=32) == ["a bos token", "a mask token"]
    assert missing_tokens(preset("bart-permute"), t5, length=32) == ["a bos token"]
    assert missing_tokens(preset("t5-mass"), t5, length=32) == []
    assert missing_tokens(preset("t5-mass"), gpt2, length=32) == ["a mask token or sentinels (<extra_id_0>, ...)"]
    assert missing_tokens(preset("t5-replace-spans"), gpt2, length=32) == ["4 or more sentinels (<extra_id_0>, ...; it has 0)"]
    assert missing_tokens(preset("t5-replace-spans"), t5, length=650) == []
    (drawn,) = missing_tokens(preset("t5-replace-spans"), t5, length=1000)
    assert drawn == "127 or more sentinels (<extra_id_0>, ...; it has 100)"
    assert missing_tokens(preset("t5"), t5, length=1600) == []
    (few,) = missing_tokens(preset("t5"), t5, length=2600)
    assert few == "144 or more sentinels (<extra_id_0>, ...; it has 100)"
    assert missing_tokens(preset("mlm"), gpt2, length=32) == ["a cls token", "a mask token", "a sep token"]


class Own:
    """A row of a class that petkit does not know."""

    name, summary, source = "own", "reads rows and hides nothing", "ours"

    def batch(self, *_: Any, **__: Any) -> None: ...


def test_of_a_row_of_ones_own_only_what_stands_around_its_text_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "_TABLE", dict(presets._TABLE))
    register(Own())
    register(replace(preset("mlm"), name="mlm-40", rate=0.4))
    plain = Vocabulary.of(made("bytelevel", "gpt2"))
    assert missing_tokens(preset("own"), plain, length=32) == ["a cls token", "a sep token"]
    assert missing_tokens(preset("mlm-40"), plain, length=32) == ["a cls token", "a mask token", "a sep token"]
    masks = []
    for name in ("own", "mlm-40"):
        words = new_tokenizer("bytelevel", texts, size=SIZE, architecture="gpt2", objectives=[preset(name)])
        masks.append(words.mask_token)
    assert masks == [None, "<mask>"]


@pytest.mark.parametrize(("kind", "architecture"), ALL)
def test_special_tokens_written_in_a_text_can_stay_text(kind: Any, architecture: str) -> None:
    words = made(kind, architecture)
    found = plain_backend(words).encode(" ".join(words.all_special_tokens), add_special_tokens=False).ids
    assert set(found) & set(words.all_special_ids) <= {words.unk_token_id}
    for text in sentences()[:40]:  # and nothing else changes
        assert plain_backend(words).encode(text, add_special_tokens=False).ids == words(text, add_special_tokens=False)["input_ids"]


SUMS = """
import hashlib, json, sys
from tests.builders import docstrings
from petkit.pretraining.tokenizers import new_tokenizer
found = []
for kind, architecture, size in {cases!r}:
    words = new_tokenizer(kind, lambda: iter(docstrings()[:120]), size=size, keep={keep!r}, architecture=architecture)
    found.append(hashlib.sha256(words.backend_tokenizer.to_str().encode()).hexdigest())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_every_process_gives_the_same_pieces() -> None:
    """The trainers go through hash tables in another order each time; a run that is resumed must not notice."""
    cases = [("bytelevel", None, 800), ("bytelevel", "gpt2", 2500), ("unigram", "xlnet", 300), ("unigram", "xlnet", 1500)]
    code, root = SUMS.format(cases=cases, keep=KEEP), Path(__file__).resolve().parents[3]
    said = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout for _ in range(3)}
    assert len(said) == 1
    here = new_tokenizer("unigram", lambda: iter(docstrings()[:120]), size=300, keep=KEEP, architecture="xlnet")
    assert hashlib.sha256(here.backend_tokenizer.to_str().encode()).hexdigest() == json.loads(said.pop())[2]


def test_texts_are_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for as often as needed, and no list is made of them."""
    for kind in ("wordpiece", "bytelevel", "unigram"):
        calls = []

        def once(calls: list[int] = calls) -> Iterator[str]:
            calls.append(1)
            yield from docstrings()[:20]

        new_tokenizer(kind, once, size=400)  # type: ignore[arg-type]
        assert len(calls) == (2 if kind == "wordpiece" else 1)


# Frames


@pytest.mark.parametrize(
    ("kind", "architecture", "one", "two"),
    [
        ("wordpiece", "bert", "[CLS] the file [SEP]", "[CLS] the [SEP] file [SEP]"),
        ("bytelevel", "roberta", "<s>the file</s>", "<s>the</s></s>file</s>"),
        ("bytelevel", "bart", "<s>the file</s>", "<s>the</s></s>file</s>"),
        ("bytelevel", "modernbert", "[CLS]the file[SEP]", "[CLS]the[SEP]file[SEP]"),
        ("bytelevel", "gpt2", "the file", "thefile"),
        ("unigram", "t5", "the file</s>", "the</s> file</s>"),
        ("unigram", "xlnet", "the file<sep><cls>", "the<sep> file<sep><cls>"),
        ("unigram", "albert", "[CLS] the file[SEP]", "[CLS] the[SEP] file[SEP]"),
        ("unigram", "deberta-v2", "[CLS] the file[SEP]", "[CLS] the[SEP] file[SEP]"),
    ],
)
def test_texts_and_pairs_are_framed_as_in_the_family(kind: Any, architecture: str, one: str, two: str) -> None:
    words = made(kind, architecture)
    assert words.decode(words("the file")["input_ids"]).replace(" ", "") == one.replace(" ", "")
    assert words.decode(words("the", "file")["input_ids"]).replace(" ", "") == two.replace(" ", "")


@pytest.mark.parametrize(
    ("name", "kind", "architecture"),
    [("Roberta", "bytelevel", "roberta"), ("Bart", "bytelevel", "bart"), ("GPT2", "bytelevel", "gpt2"), ("T5", "unigram", "t5"),
     ("XLNet", "unigram", "xlnet"), ("Albert", "unigram", "albert"), ("DebertaV2", "unigram", "deberta-v2")],
)  # fmt: skip
def test_ids_frames_and_types_are_those_of_transformers_own_class(name: str, kind: Any, architecture: str) -> None:
    words = made(kind, architecture)
    state = json.loads(words.backend_tokenizer.to_str())["model"]
    if kind == "bytelevel":
        merges = [tuple(merge) for merge in state["merges"]]
        own = getattr(transformers, f"{name}Tokenizer")(vocab=state["vocab"], merges=merges)
    else:
        own = getattr(transformers, f"{name}Tokenizer")(vocab=[(piece, score) for piece, score in state["vocab"]])
    for one in ("it returns a file", "The graph (of numbers): 3.14!"):
        mine, theirs = words(one), own(one)
        assert mine["input_ids"] == theirs["input_ids"]
        mine, theirs = words(one, "a table"), own(one, "a table")
        assert mine["input_ids"] == theirs["input_ids"]
        if "token_type_ids" in theirs and architecture not in ("t5",):
            assert mine.get("token_type_ids", theirs["token_type_ids"]) == theirs["token_type_ids"]
    for role in ("pad", "unk", "cls", "sep", "mask", "bos", "eos"):
        if (found := getattr(words, f"{role}_token")) is not None and not (architecture == "gpt2" and role == "pad"):
            assert getattr(own, f"{role}_token") == found
    assert words.padding_side == own.padding_side


def test_gpt2_has_a_padding_token_of_its_own() -> None:
    words = made("bytelevel", "gpt2")
    assert words.bos_token_id == words.eos_token_id == words.convert_tokens_to_ids("<|endoftext|>")
    assert words.pad_token_id != words.eos_token_id
    assert words.unk_token_id is None
    assert Vocabulary.of(words).pad_id == words.pad_token_id


def test_t5s_first_sentinel_has_the_highest_id() -> None:
    words = made("unigram", "t5")
    assert Vocabulary.of(words).sentinels == tuple(range(len(words) - 1, len(words) - 101, -1))
    assert words.convert_ids_to_tokens([0, 1, 2]) == ["<pad>", "</s>", "<unk>"]


# Case, sizes, mistakes


def test_case_is_kept_or_not_as_asked() -> None:
    for kind in ("bytelevel", "unigram", "wordpiece"):
        upper, lower = (new_tokenizer(kind, texts, size=500, keep=("Sports",), lowercase=low) for low in (False, True))  # type: ignore[arg-type]
        assert upper("Sports")["input_ids"] != upper("sports")["input_ids"]
        assert lower("Sports")["input_ids"] == lower("sports")["input_ids"]
    assert made("unigram", "albert")("FILE")["input_ids"] == made("unigram", "albert")("file")["input_ids"]


def test_words_to_keep_take_the_place_of_the_last_merges() -> None:
    few = made("bytelevel", "gpt2", 258 + 70, KEEP[:4])
    assert len(few) == 258 + 70
    for word in KEEP[:4]:
        assert len(few(f" {word}")["input_ids"]) == len(few(word)["input_ids"]) == 1


def test_sizes_without_room_are_refused() -> None:
    with pytest.raises(SettingsError, match="--vocab-size is 200; a byte-level tokenizer needs 261 at least"):
        new_tokenizer("bytelevel", texts, size=200)
    with pytest.raises(SettingsError, match="--vocab-size is 262; the 2 words to keep need"):
        new_tokenizer("bytelevel", texts, size=262, keep=("xylophone", "terrible"))
    with pytest.raises(SettingsError, match="--vocab-size is 100; 106 is the least"):
        new_tokenizer("unigram", texts, size=100, keep=("xylophone", "terrible"))
    with pytest.raises(SettingsError, match="tokenizer 'bpe' is unknown; legal are wordpiece, bytelevel, unigram"):
        new_tokenizer("bpe", texts, size=300)  # type: ignore[arg-type]


def test_no_text_is_refused() -> None:
    with pytest.raises(DataError, match="no tokenizer can be trained on this text"):
        new_tokenizer("unigram", lambda: iter(()), size=300)
