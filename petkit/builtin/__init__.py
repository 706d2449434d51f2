"""What petkit brings along: a small masked language model, and real text that every installation holds."""

from __future__ import annotations

from pathlib import Path

__all__ = ["label_words", "model_path"]


def model_path() -> Path:
    """The folder of the builtin model: config, safetensors, tokenizer, card. ``--model builtin`` means it."""
    return Path(__file__).parent / "model"


def label_words() -> list[str]:
    """The English label words of the ready-made tasks and of the demo, which the builtin tokenizer keeps whole."""
    from petkit.builtin.subjects import SUBJECTS
    from petkit.loading import load_task, ready_made

    tasks = [load_task(name) for name in ready_made()]
    words = {
        part
        for task in tasks
        if task.language == "en"
        for pvp in task.pvps
        for words in pvp.verbalizer.words
        for word in words
        for part in word.split()
    }
    return sorted(words | {subject.word for subject in SUBJECTS})
