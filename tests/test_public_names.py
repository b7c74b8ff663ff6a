"""The package's public names: all there, none loaded before it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import edge_harmony


def test_every_public_name_is_there() -> None:
    for name in edge_harmony.__all__:
        assert getattr(edge_harmony, name) is not None
    assert set(edge_harmony.__all__) <= set(dir(edge_harmony))
    assert issubclass(edge_harmony.EngineMismatchError, edge_harmony.ModelError)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edge_harmony.nothing
    assert not hasattr(edge_harmony, "__path_of_nothing__")


def test_using_a_name_loads_its_module_and_no_backend() -> None:
    script = (
        "import sys, edge_harmony\n"
        "assert 'edge_harmony.harmonize' not in sys.modules\n"
        "edge_harmony.load_harmonizer\n"
        "assert not {'numba', 'onnxruntime', 'torch'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
