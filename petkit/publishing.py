"""A classifier's folder onto the hub: the one place that sends anything anywhere, and only when asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from petkit.errors import ModelError, SettingsError
from petkit.predicting import classifier_folder

__all__ = ["hub_name", "push_to_hub"]

_NAME: Final = re.compile(r"hub:(?P<name>[\w.-]+(?:/[\w.-]+)?)")
_LOCAL: Final = (".*", "estimator.json")


def hub_name(target: str) -> str:
    """The repository of ``hub:NAME`` or ``hub:OWNER/NAME``. Raises SettingsError for anything else.

    >>> hub_name("hub:me/tone")
    'me/tone'
    """
    match = _NAME.fullmatch(target)
    if not match:
        raise SettingsError(f"--push-to is {target!r}; write hub:NAME or hub:OWNER/NAME")
    return match["name"]


def push_to_hub(path: str | Path, target: str, *, private: bool = False, folder: str | Path | None = None, api: Any = None) -> str:
    """Upload a classifier's folder, card included, and return its address.

    Args:
        path: a run, or its classifier's folder. target: ``hub:NAME``. private: whether a new repository is hidden from others.
        folder: another folder to upload beside it, under ``onnx/``. api: a ``huggingface_hub.HfApi``; None makes one, whose token is the
            one that huggingface_hub finds (``HF_TOKEN`` or a login).

    Raises SettingsError for a target of another form, RunError and ModelError as ``Classifier.load``, ModelError if the hub refuses.
    """
    name, source = hub_name(target), classifier_folder(Path(path))
    if api is None:
        from huggingface_hub import HfApi

        api = HfApi()
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        made = api.create_repo(name, private=private, exist_ok=True, repo_type="model")
        options: dict[str, Any] = {"repo_id": made.repo_id, "repo_type": "model", "ignore_patterns": list(_LOCAL)}
        api.upload_folder(folder_path=str(source), commit_message="A classifier made by petkit", **options)
        if folder is not None:
            api.upload_folder(folder_path=str(folder), path_in_repo="onnx", commit_message="The classifier as ONNX", **options)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise ModelError(f"{target}: the hub did not take it ({type(error).__name__}: {str(error).strip().splitlines()[0]})") from error
    return str(made)
