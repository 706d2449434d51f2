"""Parquet files, folders saved by ``datasets``, and data sets of the hub: read batch by batch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from petkit.choices import did_you_mean
from petkit.data.problems import Record
from petkit.errors import DataError

__all__ = ["HUB", "dataset_records", "hub_records", "parquet_records", "saved_records"]

HUB: Final = "hub:"
_USUAL_SPLITS: Final = ("train", "validation", "test")
_HUB_SOURCE: Final = re.compile(r"hub:(?P<name>[^@:\s]+)(?:@(?P<config>[^:\s]+))?(?::(?P<split>\S+))?")


def parquet_records(source: str, *, chunk: int) -> Iterator[Record]:
    """Rows of a parquet file. Label indices that ``datasets`` named become the names. Raises DataError if it is none."""
    try:
        with pq.ParquetFile(source) as file:
            names = _label_names(file.schema_arrow.metadata)
            row = 0
            for batch in file.iter_batches(batch_size=chunk):
                for values in batch.to_pylist():
                    row += 1
                    yield Record(row, _named(values, names))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{source}: no readable parquet file ({_first_line(error)})") from error


def saved_records(source: str, *, chunk: int) -> Iterator[Record]:
    """Rows of a folder that ``datasets.Dataset.save_to_disk`` wrote. Raises DataError if it is none."""
    folder = Path(source)
    if (folder / "dataset_dict.json").is_file():
        raise DataError(f"{source}: holds several splits; name one of {', '.join(_splits(folder))}")
    if not (folder / "state.json").is_file() or not (folder / "dataset_info.json").is_file():
        raise DataError(f"{source}: is a folder, but none that datasets.save_to_disk wrote (no state.json and dataset_info.json)")
    import datasets

    try:
        data = datasets.load_from_disk(source)
    except Exception as error:
        raise DataError(f"{source}: damaged data set ({type(error).__name__}: {_first_line(error)})") from error
    yield from dataset_records(data, chunk)


def _splits(folder: Path) -> list[str]:
    return [str(folder / path.name) for path in sorted(folder.iterdir()) if (path / "state.json").is_file()]


def hub_records(source: str, *, chunk: int) -> Iterator[Record]:
    """Rows of ``hub:NAME[@CONFIG][:SPLIT]`` (split ``train`` if none is named); runs no code from the hub.

    Raises DataError if the source is malformed, unknown, or the hub cannot be reached.
    """
    match = _HUB_SOURCE.fullmatch(source)
    if not match:
        raise DataError(f"{source}: write hub:NAME, hub:NAME:SPLIT or hub:NAME@CONFIG:SPLIT")
    import datasets

    split = match["split"] or "train"
    try:
        data = datasets.load_dataset(match["name"], match["config"], split=split)
    except Exception as error:
        raise DataError(
            f"{source}: the hub gave no split {split!r} of {match['name']!r} ({type(error).__name__}: {_first_line(error)}); "
            "check the name and the connection, or give a file or a folder that datasets.save_to_disk wrote"
            + did_you_mean(split.partition("[")[0], _USUAL_SPLITS)
        ) from error
    yield from dataset_records(data, chunk)


def dataset_records(data: Any, chunk: int = 1000) -> Iterator[Record]:
    """Rows of a ``datasets.Dataset`` in memory or memory-mapped, in whatever format. Label indices that it names become the names."""
    names = {column: feature.names for column, feature in data.features.items() if hasattr(feature, "names")}
    row = 0
    for batch in data.with_format(None).iter(batch_size=chunk):
        for cells in zip(*batch.values(), strict=True):
            row += 1
            yield Record(row, _named(dict(zip(batch, cells, strict=True)), names))


def _label_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, Sequence[str]]:
    """The names of label columns that ``datasets`` noted in the metadata of a parquet file."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {column: feature["names"] for column, feature in features.items() if isinstance(feature, dict) and "names" in feature}


def _named(values: dict[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """With label indices replaced by their names; -1, which hides a label, becomes None."""
    for column, known in names.items():
        index = values.get(column)
        if isinstance(index, Integral) and (place := int(index)) < len(known):
            values[column] = known[place] if place >= 0 else None
    return values


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
