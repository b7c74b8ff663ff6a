# OpenCV's own stubs give every array the union of all dtypes and differ between 4.x and 5.x: no help to a checker.
from typing import Any

def __getattr__(name: str) -> Any: ...
