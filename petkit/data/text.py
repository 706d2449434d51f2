"""Bytes to lines: decoding that knows at which byte and line it failed."""

from __future__ import annotations

import codecs
import gzip
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from petkit.errors import DataError

__all__ = ["ENCODING", "LONGEST", "byte_blocks", "decoded_blocks", "text_lines"]

ENCODING: Final = "utf-8-sig"
"""UTF-8, with or without a byte order mark."""
LONGEST: Final = 64 * 2**20
"""The longest line or cell, in characters: what is longer is a broken file, and would fill the memory."""
_BLOCK: Final = 2**18
_END: Final = re.compile(r"\r\n?|\n")


def byte_blocks(source: str) -> Iterator[bytes]:
    """The bytes of a file, of an unpacked ``.gz`` file, or of standard input (``-``). Raises DataError if unreadable."""
    try:
        if source == "-":
            yield from iter(lambda: sys.stdin.buffer.read(_BLOCK), b"")
            return
        with gzip.open(source) if Path(source).suffix.lower() == ".gz" else Path(source).open("rb") as file:
            yield from iter(lambda: file.read(_BLOCK), b"")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{source}: damaged or no gzip file ({error}); unpack it, or copy it again") from error
    except OSError as error:
        raise DataError(f"{'standard input' if source == '-' else source}: cannot be read ({error.strerror or error})") from error


def text_lines(blocks: Iterable[bytes], *, source: str, encoding: str = ENCODING) -> Iterator[str]:
    r"""Lines with their ends (``\n``, ``\r\n``, ``\r``; no other character ends a line).

    Raises DataError at bytes that are not ``encoding``, at a NUL byte, and at a line longer than ``LONGEST``.

    >>> list(text_lines([b"a\r", b"\nb\rc"], source="x"))
    ['a\r\n', 'b\r', 'c']
    """
    pending, number = "", 1
    for text in decoded_blocks(blocks, source, encoding):
        seen, begin, pending = max(0, len(pending) - 1), 0, pending + text
        for match in _END.finditer(pending, seen):
            if match.end() == len(pending) and pending[-1] == "\r":  # its \n may be in the next block
                break
            yield pending[begin : match.end()]
            begin, number = match.end(), number + 1
        pending = pending[begin:]
        if len(pending) > LONGEST:
            raise DataError(f"{source}: line {number} is longer than {LONGEST} characters; this is no file of lines")
    if pending:
        yield pending


def decoded_blocks(blocks: Iterable[bytes], source: str, encoding: str) -> Iterator[str]:
    """Text, block by block. Raises DataError at bytes that are not ``encoding``, and at a NUL byte, naming byte and line."""
    decoder = _decoder(encoding, source)
    offset, line, zeros_are_text = 0, 1, b"\0" in "x".encode(encoding)
    for block in chain(blocks, [b""]):
        if offset == 0 and not zeros_are_text and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise DataError(f"{source}: begins with the byte order mark of UTF-16, not {_name(encoding)}; give --encoding utf-16")
        zero = -1 if zeros_are_text else block.find(b"\0")
        if zero >= 0:
            raise DataError(
                f"{source}: NUL byte at byte {offset + zero} (line {line + block[:zero].count(10)}); no text holds one: "
                "remove it, or, if the file is UTF-16, give --encoding utf-16"
            )
        try:
            yield decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise DataError(_undecodable(error, source, encoding, offset - (len(error.object) - len(block)), line)) from error
        offset, line = offset + len(block), line + block.count(b"\n")


def _decoder(encoding: str, source: str) -> codecs.IncrementalDecoder:
    try:
        "x".encode(encoding)
        return codecs.getincrementaldecoder(encoding)("strict")
    except (LookupError, UnicodeError) as error:
        raise DataError(f"{source}: no encoding {encoding!r}; --encoding takes names such as utf-8, utf-16, latin-1, cp1252") from error


def _undecodable(error: UnicodeDecodeError, source: str, encoding: str, start: int, line: int) -> str:
    line += error.object.count(b"\n", 0, error.start)
    value = error.object[error.start]
    return (
        f"{source}: byte {start + error.start} (line {line}) is 0x{value:02X}, which is not {_name(encoding)} here ({error.reason}); "
        "give the file's encoding, for example --encoding cp1252 or --encoding latin-1"
    )


def _name(encoding: str) -> str:
    return "UTF-8" if encoding == ENCODING else encoding
