"""One encoder for all that reads with the same tokenizer, so that a text is tokenised once however many units or members read it."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any

from tokenizers import Tokenizer as Backend

from petkit.encoding import Encoder, Joining

__all__ = ["Encoders", "units_encoder"]

_Key = tuple[str, int, Joining]


class Encoders:
    """Encoders by what they would do, the last ``kept`` of them. Tokenizers that are equal share one, whatever folder they come from.

    Several threads may use an encoder, and take turns; ``get`` is for one thread at a time.
    """

    def __init__(self, *, kept: int = 1) -> None:
        self._kept = kept
        self._encoders: OrderedDict[_Key, Encoder] = OrderedDict()

    def get(self, tokenizer: Any, *, max_length: int, joining: Joining = "string") -> Encoder:
        """``Encoder(tokenizer, max_length=..., joining=...)``, or one made before for the same. Raises what that raises.

        Args:
            max_length: tokens per row at most; fewer where the tokenizer allows fewer.
        """
        length = min(max_length, int(tokenizer.model_max_length))
        key = (_fingerprint(tokenizer), length, joining)
        encoder = self._encoders.pop(key, None) or Encoder(tokenizer, max_length=length, joining=joining)
        self._encoders[key] = encoder
        while len(self._encoders) > self._kept:
            self._encoders.popitem(last=False)
        return encoder


_OF_THREAD = threading.local()


def units_encoder(tokenizer: Any, *, max_length: int, joining: Joining) -> Encoder:
    """The encoder of the units that run in this thread, one after another: those of a run read the same texts."""
    if not hasattr(_OF_THREAD, "encoders"):
        _OF_THREAD.encoders = Encoders()
    encoders: Encoders = _OF_THREAD.encoders
    return encoders.get(tokenizer, max_length=max_length, joining=joining)


def _fingerprint(tokenizer: Any) -> str:
    """Equal for tokenizers of which an encoder would make the same; another one for each that is not fast, which no encoder takes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Backend):
        return f"at {id(tokenizer)}"
    names = ("mask_token_id", "pad_token_id", "unk_token_id", "all_special_ids", "model_max_length")
    others = repr([getattr(tokenizer, name, None) for name in names])
    return hashlib.sha256(f"{others}\n{backend.to_str()}".encode()).hexdigest()
