"""Tasks by name or by path. A task file is code and runs as code: load only files that you trust.

A loaded task knows where it came from (``Task.origin``) and pickles as that reference, so pattern functions of a
user's file reach spawned processes: they run the same file again.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType

from petkit.choices import did_you_mean, not_there
from petkit.errors import TaskError
from petkit.pvp import Task

__all__ = ["load_task", "ready_made"]


def load_task(reference: str | os.PathLike[str]) -> Task:
    """The task with this ready-made name, or the one in this Python file.

    Args:
        reference: a name from ``ready_made()``, or a path that ends in ``.py``. The file defines ``task = Task(...)``,
            or exactly one ``Task`` under another name. It runs on every call and should not import its neighbours.

    Raises TaskError if there is no such name or file, if the file fails (with its line), or if it holds no task or several.

    >>> load_task("ag_news").labels
    ('World', 'Sports', 'Business', 'Sci/Tech')
    """
    text = os.fspath(reference)
    if _looks_like_path(text):
        path = Path(os.path.expanduser(text)).resolve()
        return _with_origin(_find_task(_run_file(path), str(path)), str(path))
    if text not in ready_made():
        raise TaskError(_unknown_name(text))
    return _with_origin(_find_task(importlib.import_module(f"petkit.patterns.{text}"), text), text)


def ready_made() -> dict[str, Path]:
    """Names of the ready-made tasks, sorted, with their files. Imports none of them."""
    import petkit.patterns as package  # here, since the core does not depend on its tasks

    found = {m.name: Path(folder) / f"{m.name}.py" for folder in package.__path__ for m in pkgutil.iter_modules([folder])}
    return {name: found[name] for name in sorted(found) if not name.startswith("_")}


def _looks_like_path(text: str) -> bool:
    separators = [os.sep, *([os.altsep] if os.altsep else [])]
    return text.endswith(".py") or text.startswith("~") or any(s in text for s in separators)


def _unknown_name(name: str) -> str:
    names = list(ready_made())
    here = f"; for the file of that name write {name}.py" if Path(f"{name}.py").is_file() else ""
    known = f"ready-made tasks are {', '.join(names)}; a task of your own is a path that ends in .py"
    return f"no ready-made task is called {name!r}; {known}{here}{did_you_mean(name, names)}"


def _with_origin(task: Task, origin: str) -> Task:
    return Task(
        name=task.name,
        fields=task.fields,
        patterns=task.pvps,
        label_column=task.label_column,
        classifier_inputs=task.classifier_inputs,
        language=task.language,
        source=task.source,
        description=task.description,
        origin=origin,
    )


def _run_file(path: Path) -> ModuleType:
    """The file's module, run afresh. Nothing is cached beside the file, so an edit is never missed."""
    name = f"petkit_task_{hashlib.sha256(str(path).encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    source = _source(path)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        _restore(name, before)
        raise TaskError(_failure(path, error)) from error
    except BaseException:
        _restore(name, before)
        raise
    return module


def _restore(name: str, before: ModuleType | None) -> None:
    if before is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = before


def _source(path: Path) -> str:
    if path.suffix != ".py":
        raise TaskError(f"{path} is no task file: a task is Python and its file ends in .py")
    try:
        return importlib.util.decode_source(path.read_bytes())
    except FileNotFoundError:
        raise TaskError(f"there is no file {path}{not_there(path)}") from None
    except OSError as error:
        raise TaskError(f"cannot read the task file {path}: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} is no Python text: {error}; save it as UTF-8") from error


def _failure(path: Path, error: BaseException) -> str:
    """Where in the file the error arose, and what it says."""
    what = str(error) if isinstance(error, TaskError) else f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}, line {lines[-1]}: {what}" if lines else f"{path}: {what}"


def _find_task(module: ModuleType, where: str) -> Task:
    named = vars(module).get("task")
    if isinstance(named, Task):
        return named
    if named is not None:
        raise TaskError(f"{where}: task is a {type(named).__name__}; write task = Task(...)")
    found = {name: value for name, value in vars(module).items() if isinstance(value, Task)}
    if len({id(value) for value in found.values()}) == 1:
        return next(iter(found.values()))
    if found:
        raise TaskError(f"{where} defines several tasks ({', '.join(found)}); call the one to use task")
    raise TaskError(f"{where} defines no task; write task = Task(...)")
