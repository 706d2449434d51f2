"""Uploads, to a hub that only notes what it is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import OfflineModeIsEnabled

from petkit.errors import ModelError, RunError, SettingsError
from petkit.publishing import hub_name, push_to_hub
from tests.tiny_runs import tiny_classifier


class Address(str):
    repo_id = "me/tone"


class Hub:
    """Stands for ``huggingface_hub.HfApi``."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, name: str, **given: Any) -> Address:
        self.calls.append((name, given))
        return Address("https://hub.invalid/me/tone")

    def upload_folder(self, **given: Any) -> None:
        self.calls.append(("upload", given))


def test_the_classifiers_folder_goes_up_and_nothing_else(tmp_path: Path) -> None:
    tiny_classifier(tmp_path / "run" / "classifier")
    hub = Hub()
    assert push_to_hub(tmp_path / "run", "hub:tone", private=True, folder=tmp_path / "onnx", api=hub) == "https://hub.invalid/me/tone"
    (name, made), (_, first), (_, second) = hub.calls
    assert (name, made) == ("tone", {"private": True, "exist_ok": True, "repo_type": "model"})
    assert (first["folder_path"], first["repo_id"]) == (str(tmp_path / "run" / "classifier"), "me/tone")
    assert (second["folder_path"], second["path_in_repo"]) == (str(tmp_path / "onnx"), "onnx")
    assert "path_in_repo" not in first


def test_names_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    assert hub_name("hub:me/a-b.c") == "me/a-b.c"
    for wrong in ("me/tone", "hub:", "hub:a/b/c", "hub:a b"):
        with pytest.raises(SettingsError, match="write hub:NAME or hub:OWNER/NAME"):
            hub_name(wrong)
    hub = Hub()
    with pytest.raises(RunError, match="no such folder"):
        push_to_hub(tmp_path / "none", "hub:tone", api=hub)
    assert hub.calls == []


def test_a_hub_that_refuses_is_told_of(tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OfflineModeIsEnabled("offline mode is on\nmore")

    tiny_classifier(tmp_path)
    with pytest.raises(ModelError, match=r"hub:tone: the hub did not take it \(OfflineModeIsEnabled: offline mode is on\)"):
        push_to_hub(tmp_path, "hub:tone", api=SimpleNamespace(create_repo=refuse))
