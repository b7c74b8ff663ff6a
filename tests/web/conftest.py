"""A web page with real controls and pictures that move."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_harmony.live.controls import Controls
from edge_harmony.web import WebSink
from tests.web.visitor import Client, FixedFigures, Player, web_threads


@pytest.fixture
def controls() -> Controls:
    return Controls()


@pytest.fixture
def sink(controls: Controls) -> Iterator[WebSink]:
    with WebSink(0, controls, FixedFigures()) as sink:
        yield sink
    assert not web_threads()


@pytest.fixture
def player(sink: WebSink) -> Iterator[Player]:
    player = Player(sink)
    yield player
    player.close()


@pytest.fixture
def client(sink: WebSink) -> Client:
    return Client(sink)
