"""What docs/api.md calls public is there, is all that is offered as public, and the page is as the docstrings are."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

griffe = pytest.importorskip("griffe", reason="pip install -e '.[dev]'")

from docs.api_page import PUBLIC, api_page  # noqa: E402


def test_the_page_is_what_the_docstrings_say(repository: Path) -> None:
    assert (repository / "docs" / "api.md").read_text() == api_page(), "write it anew: python docs/api_page.py"


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_importable_and_described(module: str, repository: Path) -> None:
    home = importlib.import_module(module)
    names = [name for name in PUBLIC[module] or home.__all__ if not name.startswith("_")]
    assert names
    page = (repository / "docs" / "api.md").read_text()
    for name in names:
        assert hasattr(home, name)
        assert f"### {name}\n" in page


def test_no_package_offers_names_that_the_page_leaves_out() -> None:
    """A package whose ``__init__`` offers names is part of the API, or offers none."""
    for path in sorted((Path(__file__).parents[1] / "edge_harmony").glob("*/__init__.py")):
        module = f"edge_harmony.{path.parent.name}"
        if getattr(importlib.import_module(module), "__all__", None):
            assert module in PUBLIC or module == "edge_harmony.doctor"
