"""An X display of our own, for what wants one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import pytest


@contextmanager
def virtual_display(screen: str) -> Generator[str]:
    """Its name, such as ``:7``, while Xvfb serves it; ``screen`` is WxHxDEPTH. Skips where it does not start."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "-nolisten", "tcp"],
        pass_fds=[writing], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as numbers:
        number = numbers.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start")
    yield f":{number}"
    server.terminate()
    server.wait(20)
