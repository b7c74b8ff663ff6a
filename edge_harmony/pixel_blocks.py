"""Sixteen BGR pixels at a time in LLVM's own language: what the compiled passes over pixels share.

numba keeps their machine code by the age of their own files: after a change here, touch those that import it.
"""

# An intrinsic's first parameter is numba's own and not passed by its caller.
# pyright: reportCallIssue=false

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import int64, types
from numba.extending import intrinsic

BLOCK = 16  # pixels computed at once
PIXEL_BYTES = 3

_BYTE, _INT, _LONG = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_BYTES = ir.VectorType(_BYTE, BLOCK)
PIXELS = ir.VectorType(_BYTE, PIXEL_BYTES * BLOCK)


def lanes(indices: list[int]) -> ir.Constant:
    """Indices for ``shuffle_vector``."""
    return ir.Constant(ir.VectorType(_INT, len(indices)), indices)


def store_pixels(builder: Any, address: Any, planes: list[Any]) -> None:
    """Three vectors of bytes as sixteen BGR pixels."""
    blue, green, red = planes
    first_two = builder.shuffle_vector(blue, green, lanes(list(range(2 * BLOCK))))
    last = builder.shuffle_vector(red, ir.Constant(_BYTES, ir.Undefined), lanes(list(range(BLOCK)) * 2))
    order = [lane for i in range(BLOCK) for lane in (i, BLOCK + i, 2 * BLOCK + i)]
    pixels = builder.shuffle_vector(first_two, last, lanes(order))
    builder.store(pixels, builder.inttoptr(address, ir.PointerType(PIXELS))).align = 1


@intrinsic
def move(typing_context, target, source, count):  # type: ignore[no-untyped-def]
    """Copy ``count`` bytes between two addresses that do not overlap."""
    del typing_context, target, source, count

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        pointer = ir.PointerType(_BYTE)
        copy = builder.module.declare_intrinsic("llvm.memcpy", [pointer, pointer, _LONG])
        target, source, count = arguments
        plain = ir.Constant(ir.IntType(1), 0)
        builder.call(copy, [builder.inttoptr(target, pointer), builder.inttoptr(source, pointer), count, plain])
        return context.get_dummy_value()

    return types.void(int64, int64, int64), generate
