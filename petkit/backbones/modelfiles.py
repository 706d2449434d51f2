"""Checkpoints on disk or on the hub: checked before they are opened, opened without noise, refused in one message.

Safetensors only: a pickle can run code when it is loaded, so it is never opened here.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from petkit.adapted import VARIANT, family_type, has_adapters
from petkit.choices import did_you_mean, not_there
from petkit.errors import ModelError

__all__ = [
    "check_folder",
    "check_model_type",
    "check_tokenizer_folder",
    "open_pretrained",
    "quiet",
    "refuse_adapters",
    "refuse_model_type",
    "resolve",
]

_FAILURES = (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError, AttributeError, SafetensorError)
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


_alone = threading.RLock()
"""What ``quiet`` changes belongs to the whole process, and transformers cannot open two checkpoints at a time."""


def _anew() -> None:
    """A forked process begins without the threads that may hold the lock, so with a lock of its own."""
    global _alone
    _alone = threading.RLock()


os.register_at_fork(after_in_child=_anew)


@contextmanager
def quiet() -> Iterator[None]:
    """No log lines, progress bars or warnings of transformers and the hub inside; as before outside. One thread at a time."""
    with _alone, _quietly():
        yield


@contextmanager
def _quietly() -> Iterator[None]:
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    hub_bars = not are_progress_bars_disabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            transformers_logging.set_verbosity(verbosity)
            if bars:
                transformers_logging.enable_progress_bar()
            if hub_bars:
                enable_progress_bars()


def resolve(path: str) -> str:
    """``builtin`` to the folder of the embedded model, ``~`` to the home folder; anything else as it is. ModelError for an empty name."""
    if not path.strip():
        raise ModelError("the name of the model is empty; --model takes a folder, a hub name, or builtin")
    if path != "builtin":
        return str(Path(path).expanduser()) if path.startswith("~") else path
    from petkit.builtin import model_path

    return str(model_path())


def check_folder(path: str) -> None:
    """Refuse what cannot be a checkpoint before it is opened; a name that may be on the hub passes.

    Raises ModelError for a file, a folder that is not there, a folder without a config or without safetensors,
    and for damaged safetensors.
    """
    folder = Path(path)
    if folder.is_file():
        raise ModelError(f"model {path!r} is a file; --model takes a folder, a hub name, or builtin")
    if not folder.is_dir():
        if path.startswith((".", "/")) or path.count("/") > 1 or "\\" in path or not path.strip():
            raise ModelError(f"model {path!r}: no such folder; --model takes a folder, a hub name, or builtin{not_there(path)}")
        return
    if not (folder / "config.json").is_file():
        raise ModelError(f"model {path!r} has no config.json, so it is not a model folder")
    _check_weights(folder)


def _check_weights(folder: Path) -> None:
    files = _weight_files(folder)
    if not files:
        pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        if not pickles:
            raise ModelError(f"model '{folder}' has no weights; expected is model.safetensors")
        raise ModelError(
            f"model '{folder}' has only pickle weights ({', '.join(pickles)}), which can run code when loaded; only safetensors are "
            "opened. If you trust the file, convert it once in Python: AutoModelForMaskedLM.from_pretrained(OLD).save_pretrained(NEW) "
            "and AutoTokenizer.from_pretrained(OLD).save_pretrained(NEW), then give NEW"
        )
    for file in files:
        try:
            with file.open("rb"), safe_open(str(file), framework="pt"):  # open says why a file cannot be read
                pass
        except PermissionError as error:
            raise ModelError(f"model '{folder}': there is no permission to read {file.name}") from error
        except (SafetensorError, OSError) as error:
            raise ModelError(f"model '{folder}': {file.name} is missing, cut off or damaged ({_line(error)})") from error


def _weight_files(folder: Path) -> list[Path]:
    """The weight files that a folder says it has: one, or the shards of an index."""
    whole = (folder / name for name in ("model.safetensors", f"model.{VARIANT}.safetensors"))
    indices = (folder / name for name in ("model.safetensors.index.json", f"model.safetensors.index.{VARIANT}.json"))
    if (weights := next(filter(Path.is_file, whole), None)) is not None:
        return [weights]
    if (index := next(filter(Path.is_file, indices), None)) is None:
        return []
    try:
        shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"model '{folder}': {index.name} is damaged ({_line(error)})") from error
    return [folder / shard for shard in shards]


def check_model_type(path: str, legal: list[str]) -> None:
    """Refuse a local folder whose config names no model type of ``legal``. Raises ModelError."""
    file = Path(path) / "config.json"
    if not file.is_file():
        return
    try:
        found = family_type(json.loads(file.read_text("utf-8")))
    except (ValueError, AttributeError) as error:
        raise ModelError(f"model {path!r}: config.json is no JSON object ({_line(error)})") from error
    refuse_model_type(path, found, legal)


def refuse_model_type(path: str, found: object, legal: list[str]) -> None:
    """Raise ModelError unless the model type ``found`` is one of ``legal``."""
    if found not in legal:
        raise ModelError(f"model {path!r} has the model type {found!r}; legal are {', '.join(legal)}")


def refuse_adapters(path: str, config: Any, wanted: str) -> None:
    """Raise ModelError if a transformers config is that of a model with adapters; ``wanted``: what is to be made of it."""
    if has_adapters(config):
        raise ModelError(f"model {path!r} has adapters, which {wanted} cannot have; take the checkpoint it was made from")


def check_tokenizer_folder(path: str) -> None:
    """Refuse a local folder without tokenizer files, from which transformers would make an empty tokenizer. Raises ModelError."""
    folder = Path(path)
    if folder.is_dir() and not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelError(f"model {path!r} has no tokenizer; expected is tokenizer.json or one of {', '.join(_TOKENIZER_FILES[1:])}")


def open_pretrained(auto: Any, path: str, *, seed: int = 0, **options: Any) -> Any:
    """``auto.from_pretrained(path, **options)``, quietly and without touching the global random stream.

    What the checkpoint lacks is drawn from a stream of ``seed``. Raises ModelError in one line if it cannot be opened.
    """
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return auto.from_pretrained(path, **options)
    except _FAILURES as error:
        if Path(path).is_dir():
            raise ModelError(f"model {path!r} cannot be opened: {_line(error)}") from error
        where = "no folder of that name here, so it was looked for on the hub"
        raise ModelError(f"model {path!r} cannot be opened ({where}): {_line(error)}{did_you_mean(path, ['builtin'])}") from error


def _line(error: BaseException) -> str:
    """The first line of an error's message, or its kind if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
