"""What driver and workers say to each other: JSON, exceptions included. Nothing is pickled."""

from __future__ import annotations

import importlib
import json
import traceback
from typing import Any

from petkit.canonical import plain
from petkit.errors import UserError

__all__ = ["Message", "described", "packed", "rebuilt", "unpacked"]

Message = dict[str, Any]


class WorkerTraceback(Exception):
    """Where in the worker an exception was raised: the text of its traceback, as the cause of the one that the driver raises."""

    def __str__(self) -> str:
        return f"in another process:\n\n{self.args[0]}"


def packed(message: Message) -> bytes:
    """The message as JSON. NaN stays NaN; numbers of numpy and torch become numbers, and what has no other form becomes its words."""
    return json.dumps(message, default=_in_json).encode()


def unpacked(content: bytes) -> Message:
    """The message."""
    message: Message = json.loads(content)
    return message


def _in_json(value: object) -> object:
    try:
        return plain(value)
    except TypeError:
        return str(value)


def described(error: BaseException) -> Message:
    """An exception: its class, its arguments and attributes as far as JSON can hold them, its words, its traceback."""
    kind = type(error)
    return {
        "class": [kind.__module__, kind.__qualname__],
        "users": isinstance(error, UserError),
        "text": str(error),
        "words": "".join(traceback.format_exception_only(error)).strip(),
        "traceback": "".join(traceback.format_exception(error)),
        **_parts(error),
    }


def _parts(error: BaseException) -> Message:
    """What it is made from again: ``args`` (None if JSON cannot hold them) and attributes."""
    try:
        made = error.__reduce__()
    except Exception:  # whatever a class of somebody else's does there
        made = ""
    if isinstance(made, str):
        return {"args": None, "state": {}}
    kind, args, *state = made
    attributes = {name: list(value) if isinstance(value, tuple) else value for name, value in (state[0] if state else {}).items()}
    known = kind is type(error) and _survives(list(args))
    return {"args": list(args) if known else None, "state": {name: value for name, value in attributes.items() if _survives(value)}}


def _survives(value: object) -> bool:
    """Whether JSON brings ``value`` back as it is."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False


def rebuilt(facts: Message) -> BaseException:
    """The exception that ``described`` has described, with the worker's traceback as its cause.

    One of the same words where it cannot be made again: a ``UserError`` for the user's mistakes, else a ``RuntimeError``.
    """
    error = _made_again(facts) or (UserError(facts["text"]) if facts["users"] else RuntimeError(facts["words"]))
    error.__cause__ = WorkerTraceback(facts["traceback"])
    return error


def _made_again(facts: Message) -> BaseException | None:
    if facts["args"] is None:
        return None
    module, name = facts["class"]
    try:
        error = getattr(importlib.import_module(module), name)(*facts["args"])
    except Exception:  # its class is not at the top of its module, or wants other arguments than it keeps
        return None
    if not isinstance(error, BaseException) or str(error) != facts["text"]:
        return None
    for attribute, value in facts["state"].items():
        setattr(error, attribute, tuple(value) if attribute == "problems" else value)
    return error
