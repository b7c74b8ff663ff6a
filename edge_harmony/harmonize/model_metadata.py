"""What an ONNX file says of itself, read without any ONNX package.

A few bytes of protobuf: ``ModelProto.metadata_props`` is field 14, pairs of key (1) and value (2). Everything else, the
graph above all, is passed over unread, so a model of any size takes a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from edge_harmony.contract import META_WEIGHTS
from edge_harmony.errors import ModelError

_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_VARINT, _BYTES = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}  # the same, with how many bytes they take


def read_metadata(path: Path) -> dict[str, str]:
    """The ``metadata_props`` of an ONNX file; what is no UTF-8 in them has a sign in its place.

    Raises:
        ModelError: it cannot be read, or is no ONNX file.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            found: dict[str, str] = {}
            for _, entry in _fields(file, size, (_METADATA_PROPS,)):
                pair = dict(_fields(BytesIO(entry), len(entry), (_KEY, _VALUE)))
                key, value = (pair.get(field, b"").decode(errors="replace") for field in (_KEY, _VALUE))
                found[key] = value
            return found
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}", "check the path") from None
    except ValueError as error:
        raise ModelError(f"{path} is no ONNX model: {error}", "copy it again, or export it again") from None


def weights_of(path: Path) -> str:
    """The SHA-256 of a model's weights, its identity: the same for its FP32, FP16 and INT8 graphs of both kinds.

    Raises:
        ModelError: no ONNX model, or one that does not say.
    """
    weights = read_metadata(path).get(META_WEIGHTS, "")
    if not weights:
        raise ModelError(
            f"{path} does not say of which weights it is: another tool wrote it, or dropped its metadata",
            "put it back: python -m export.stamp FILE --like ORIGINAL",
        )
    return weights


def _fields(stream: BinaryIO, size: int, wanted: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    """The wanted fields of a message of ``size`` bytes, those that hold bytes; the others are passed over."""
    while stream.tell() < size:
        tag = _varint(stream)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _varint(stream)
        elif kind in _FIXED:
            stream.seek(_FIXED[kind], 1)
        elif kind == _BYTES:
            length = _varint(stream)
            if stream.tell() + length > size:
                raise ValueError("it is cut short")
            if number in wanted:
                yield number, stream.read(length)
            else:
                stream.seek(length, 1)
        else:
            raise ValueError("its bytes make no sense")


def _varint(stream: BinaryIO) -> int:
    value = shift = 0
    while shift < 70:
        byte = stream.read(1)
        if not byte:
            raise ValueError("it is cut short")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
        shift += 7
    raise ValueError("its bytes make no sense")
