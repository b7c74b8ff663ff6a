"""DLPack by ctypes: reading another library's tensor on the GPU, and offering ours. NumPy knows CPU memory only."""

from __future__ import annotations

import ctypes
from typing import Any

CUDA = 2  # kDLCUDA
CUDA_MANAGED = 13  # kDLCUDAManaged
_UNUSED = b"dltensor"  # the capsule's name until somebody takes the tensor over
_INT, _UINT, _FLOAT, _BOOL = 0, 1, 2, 6  # DLDataTypeCode
_CODES = {"i": _INT, "u": _UINT, "f": _FLOAT, "b": _BOOL}


class _Device(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),  # in elements; null: C-contiguous
        ("byte_offset", ctypes.c_uint64),
    )


class _ManagedTensor(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_ManagedTensor))  # takes the interpreter's lock by itself
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)  # of a capsule: the interpreter holds its lock
_ManagedTensor._fields_ = (("tensor", _Tensor), ("manager", ctypes.c_void_p), ("deleter", _Deleter))

_api = ctypes.pythonapi
_api.PyCapsule_New.restype = ctypes.py_object
_api.PyCapsule_New.argtypes = (ctypes.c_void_p, ctypes.c_char_p, _Destructor)
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
# Not py_object: in its destructor a capsule must not be touched as an object any more.
_api.PyCapsule_IsValid.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
_destroyed_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

_offered: dict[int, tuple[Any, ...]] = {}  # by address of the managed tensor: what must live as long


def read(capsule: Any) -> tuple[int, tuple[int, ...], tuple[int, ...] | None, str, int]:
    """What a capsule of ``__dlpack__`` holds. The capsule owns the memory: keep it while the memory is used.

    Returns:
        Address, shape, strides in bytes (None: C-contiguous), type as in NumPy (``"|u1"``), device number.

    Raises:
        ValueError: it is no unused DLPack tensor, or its type has no name in NumPy.
    """
    pointer = _api.PyCapsule_GetPointer(capsule, _UNUSED)
    tensor = ctypes.cast(pointer, ctypes.POINTER(_ManagedTensor)).contents.tensor
    kinds = {code: kind for kind, code in _CODES.items()}
    size = tensor.dtype.bits // 8
    if tensor.dtype.code not in kinds or tensor.dtype.lanes != 1 or tensor.dtype.bits % 8:
        raise ValueError(f"elements of DLPack's type {tensor.dtype.code} with {tensor.dtype.bits} bits")
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = tuple(tensor.strides[i] * size for i in range(tensor.ndim)) if tensor.strides else None
    kind = kinds[tensor.dtype.code]
    return (
        (tensor.data or 0) + tensor.byte_offset,
        shape,
        strides,
        f"{'|' if size == 1 else '<'}{kind}{size}",
        tensor.device.device_id,
    )


def offer(owner: Any, address: int, shape: tuple[int, ...], typestr: str, device: int = 0) -> Any:
    """A capsule with C-contiguous memory on the GPU, for ``__dlpack__``.

    Args:
        owner: is kept alive until the taker lets go of the memory, or the capsule goes unused.
        address, shape, typestr: as in ``__cuda_array_interface__``.
        device: number of the GPU.
    """
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    managed = _ManagedTensor()
    managed.tensor = _Tensor(
        data=address,
        device=_Device(CUDA, device),
        ndim=len(shape),
        dtype=_DataType(_CODES[typestr[1]], int(typestr[2:]) * 8, 1),
        shape=ctypes.cast(sizes, ctypes.POINTER(ctypes.c_int64)),
        strides=None,
        byte_offset=0,
    )
    managed.deleter = _let_go
    key = ctypes.addressof(managed)
    _offered[key] = (managed, sizes, owner)
    return _api.PyCapsule_New(key, _UNUSED, _capsule_gone)


@_Deleter
def _let_go(managed: Any) -> None:
    _offered.pop(ctypes.addressof(managed.contents), None)


@_Destructor
def _capsule_gone(capsule: int) -> None:
    if _api.PyCapsule_IsValid(capsule, _UNUSED):  # nobody took it
        _offered.pop(_destroyed_pointer(capsule, _UNUSED) or 0, None)


# Takers may call these while the interpreter shuts down, after this module is gone.
for _callback in (_let_go, _capsule_gone):
    _api.Py_IncRef(ctypes.py_object(_callback))
