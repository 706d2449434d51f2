"""A finished classifier in other forms: ONNX for onnxruntime, float32 or with 8-bit weights, each measured beside the original."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from petkit.backbones import FAMILIES
from petkit.encoding.encoded import Encoded
from petkit.errors import SettingsError
from petkit.files import staged_directory, write_json
from petkit.predicting import Classifier, classifier_folder
from petkit.rowfiles import load_rows
from petkit.rows import Rows

__all__ = ["Exported", "Measured", "export_onnx", "real_rows"]

_NEEDED: Final = ("onnx", "onnxruntime", "onnxscript")
_ROWS: Final = 500
_TIMED: Final = 30
_EXAMPLES: Final = (
    "The parcel arrived two days late.",
    "Profits doubled in the last quarter, said the company.",
    "Nobody could have played it better.",
)


@dataclass(frozen=True)
class Measured:
    """One form of the classifier on the rows that all forms were asked.

    Attributes:
        file: its name. bytes: its size. milliseconds: median for one text, tokens to logits.
        difference: of a probability to the original's, at most. agreement: share of rows with the original's label.
        accuracy: on the run's test rows; None without any.
    """

    file: str
    bytes: int
    milliseconds: float
    difference: float
    agreement: float
    accuracy: float | None


@dataclass(frozen=True)
class Exported:
    """What ``export_onnx`` wrote: the folder, which rows it was compared on, and each form, the original first."""

    path: Path
    rows: str
    compared: int
    forms: tuple[Measured, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"path": str(self.path), "rows": self.rows, "compared": self.compared, "forms": [asdict(form) for form in self.forms]}


def export_onnx(path: str | Path, out: str | Path, *, int8: bool = False) -> Exported:
    """Write a run's classifier as ``model.onnx`` with its tokenizer into a new folder, and compare it with the original.

    Args:
        path: a run, or its classifier's folder. out: the folder to write; it appears whole or not at all.
        int8: also ``model.int8.onnx``: weights in 8 bits, activations quantised as they come (dynamic quantisation).

    Rows to compare on are ``real_rows``. Raises SettingsError without the extra ``onnx`` and for a folder that is not empty, RunError and
    ModelError as ``Classifier.load``.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(f"--onnx needs {', '.join(missing)}, which the extra onnx brings: pip install 'petkit[onnx]'")
    if Path(out).exists() and (not Path(out).is_dir() or any(Path(out).iterdir())):
        raise SettingsError(f"--out {out} is there already and not empty; name a new folder")
    classifier = Classifier.load(path, device="cpu")
    which, rows = real_rows(path, classifier)
    with staged_directory(out) as folder:
        _small_files(classifier_folder(Path(path)), folder)
        files = [folder / "model.onnx"]
        _write_onnx(classifier.model, files[0])
        if int8:
            files.append(folder / "model.int8.onnx")
            _write_int8(*files)
        forms = tuple(_measure(classifier, classifier_folder(Path(path)), files, rows))
        exported = Exported(Path(out), which, len(rows), forms)
        write_json(folder / "export.json", exported.as_dict())
    return exported


def real_rows(path: str | Path, classifier: Classifier) -> tuple[str, Rows]:
    """``test`` or ``pool`` with up to 500 such rows of the run; ``examples``, three sentences, where a copied folder has no run around."""
    for root in (Path(path), Path(path).parent):
        for part in ("test", "pool"):
            file = root / "stages" / "rows" / f"{part}.parquet"
            rows = load_rows(file) if file.is_file() else Rows((), {})
            if len(rows) and set(classifier.task.fields) <= set(rows.fields):
                return part, rows.select(range(min(_ROWS, len(rows))))
    return "examples", Rows(tuple(map(str, range(len(_EXAMPLES)))), {name: _EXAMPLES for name in classifier.task.fields})


def input_names(model: Any) -> list[str]:
    """Names of the tensors that a classifier takes, in order: (B, T) int64 each."""
    types = FAMILIES[model.config.model_type].types and model.config.type_vocab_size > 1
    return ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]


class _Logits(torch.nn.Module):
    """A classifier as a function of tensors alone: (B, T) int64 each to logits (B, C) float32."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.names = model, input_names(model)

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(**dict(zip(self.names, values, strict=True)), return_dict=True).logits
        return logits


def _write_onnx(model: Any, file: Path) -> None:
    names = input_names(model)
    example = torch.arange(18).reshape(2, 9) % 7 + model.config.vocab_size // 2
    values = {"input_ids": example, "attention_mask": torch.ones_like(example), "token_type_ids": torch.zeros_like(example)}
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with _silent():
        torch.onnx.export(
            _Logits(model).eval(),
            tuple(values[name] for name in names),
            str(file),
            input_names=names,
            output_names=["logits"],
            dynamic_shapes={"values": tuple(free for _ in names)},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _write_int8(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _silent():
        quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8)


@contextmanager
def _silent() -> Iterator[None]:
    """Exporters warn of their own future and of packages that nobody asked for."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


Run = Callable[[list[NDArray[np.int64]]], NDArray[np.float32]]
"""Input tensors (B, T) to logits (B, C)."""


def _measure(classifier: Classifier, folder: Path, files: list[Path], rows: Rows) -> Iterator[Measured]:
    encoded = classifier.encoder.plain(rows, classifier.task)
    inputs = [_one(classifier, encoded, index) for index in range(len(encoded))]
    weights = sorted(folder.glob("*.safetensors"))
    original = _softmax(_all(_by_torch(classifier.model), inputs))
    forms = [(weights[0].name, sum(f.stat().st_size for f in weights), _by_torch(classifier.model))]
    forms += [(file.name, file.stat().st_size, _by_onnx(file)) for file in files]
    for name, size, run in forms:
        found = _softmax(_all(run, inputs))
        labels, known = found.argmax(axis=1), np.array(rows.labels or [-1] * len(rows))
        yield Measured(
            file=name,
            bytes=size,
            milliseconds=_milliseconds(run, inputs),
            difference=float(np.abs(found - original).max()),
            agreement=float((labels == original.argmax(axis=1)).mean()),
            accuracy=float((labels == known)[known >= 0].mean()) if (known >= 0).any() else None,
        )


def _one(classifier: Classifier, encoded: Encoded, index: int) -> list[NDArray[np.int64]]:
    from petkit.batching import collate

    batch = collate(encoded, np.array([index]), pad_id=classifier.encoder.pad_id, device=torch.device("cpu"))
    return [getattr(batch, name).long().numpy() for name in input_names(classifier.model)]


def _by_torch(model: Any) -> Run:
    module = _Logits(model).eval()

    @torch.inference_mode()
    def run(values: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = module(*map(torch.from_numpy, values)).numpy()
        return found

    return run


def _by_onnx(file: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(values: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(["logits"], dict(zip(names, values, strict=True)))[0]
        return found

    return run


def _all(run: Run, inputs: list[list[NDArray[np.int64]]]) -> NDArray[np.float32]:
    return np.concatenate([run(values) for values in inputs])


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _milliseconds(run: Run, inputs: list[list[NDArray[np.int64]]]) -> float:
    seconds = []
    for values in inputs[:_TIMED]:
        started = time.perf_counter()
        run(values)
        seconds.append(time.perf_counter() - started)
    return round(float(np.median(seconds)) * 1000, 3)


def _small_files(source: Path, target: Path) -> None:
    """All of a classifier's folder but its torch weights."""
    for file in source.iterdir():
        if file.is_file() and not file.name.endswith(".safetensors"):
            shutil.copyfile(file, target / file.name)
