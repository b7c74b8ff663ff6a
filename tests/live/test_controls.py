"""Settings of a running stream: what is refused, what goes together, and what others see of them."""

from __future__ import annotations

import json
import math
import threading

import pytest

from edge_harmony.errors import ConfigError
from edge_harmony.live.controls import ACTIONS, CONTROLS, Controls


def test_defaults_are_within_their_own_limits() -> None:
    Controls({control.name: control.default for control in CONTROLS})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strength", 1.01), ("strength", -0.1), ("strength", math.nan), ("strength", "1"), ("strength", True),
        ("strength", None), ("strength", [1]), ("harmonize", 1), ("harmonize", "true"), ("compare", "wipe"),
        ("compare", 3), ("snap", 1.5), ("snap", 65), ("background", 7), ("background", "a\0b"),
        ("background", "x" * 5000), ("smoothing", 1.0), ("strength", 10**400), ("strength", math.inf),
    ],
)  # fmt: skip
def test_refused(name: str, value: object) -> None:
    controls = Controls()
    before = controls.snapshot()
    with pytest.raises(ConfigError) as caught:
        controls.set(name, value)
    assert caught.value.hint
    assert controls.snapshot() == before


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        Controls().set("strenght", 1)
    assert "strength" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        Controls().act("screenshoot")
    assert "screenshot" in caught.value.hint


def test_update_is_all_or_nothing() -> None:
    controls = Controls()
    with pytest.raises(ConfigError):
        controls.update({"strength": 0.5, "grain": 2.0})
    assert controls.get("strength") == 1.0


def test_levels_may_not_cross_but_may_move_together() -> None:
    controls = Controls({"black": 0.2, "white": 0.3})
    with pytest.raises(ConfigError, match="black"):
        controls.set("black", 0.3)
    controls.update({"black": 0.6, "white": 0.9})
    assert controls.get("black") == 0.6


def test_steps_stay_inside_the_limits() -> None:
    controls = Controls({"strength": 0.95})
    assert controls.step("strength") == 1.0
    assert controls.step("strength", -30) == 0.0
    assert [controls.step("compare") for _ in range(3)] == ["split", "side", "off"]
    assert controls.step("harmonize") is False
    with pytest.raises(ConfigError):
        controls.step("background")


def test_revision_grows_with_changes_only() -> None:
    controls = Controls()
    before = controls.revision
    controls.set("strength", 1)
    assert controls.revision == before
    controls.set("strength", 0)
    assert controls.revision > before


def test_actions_come_once_and_in_order() -> None:
    controls = Controls()
    for action in ACTIONS:
        controls.act(action.name)
    assert controls.take_actions() == [action.name for action in ACTIONS]
    assert controls.take_actions() == []


def test_description_is_json_and_complete() -> None:
    controls = Controls()
    controls.suggest("background", ["a.jpg", "#204060"])
    described = json.loads(json.dumps(controls.describe(), allow_nan=False))
    assert [entry["name"] for entry in described] == list(controls.snapshot())
    by_name = {entry["name"]: entry for entry in described}
    assert by_name["background"]["choices"] == ["a.jpg", "#204060"]
    assert by_name["compare"]["choices"] == ["off", "split", "side"]
    assert by_name["strength"]["high"] == 1.0
    assert by_name["harmonize"]["low"] is None


def test_single_suggestions_come_and_go() -> None:
    controls = Controls()
    controls.suggest("background", ["a.jpg"])
    revision = controls.revision
    for choice in ("b.jpg", "a.jpg"):
        controls.offer("background", choice)
    assert controls.suggested("background") == ("a.jpg", "b.jpg")
    controls.withdraw("background", "a.jpg")
    controls.withdraw("background", "gone.jpg")
    assert controls.suggested("background") == ("b.jpg",)
    assert controls.revision == revision + 2
    with pytest.raises(ConfigError):
        controls.offer("backgrund", "a.jpg")


def test_keys_are_unique() -> None:
    keys = [entry.key for entry in (*CONTROLS, *ACTIONS) if entry.key]
    assert len(keys) == len(set(keys))


def test_many_threads() -> None:
    controls = Controls()

    def turn() -> None:
        for _ in range(200):
            controls.step("compare")
            controls.update({"black": 0.5, "white": 0.9})
            controls.update({"black": 0.1, "white": 0.4})
            seen = controls.snapshot()
            assert (seen["black"], seen["white"]) in ((0.5, 0.9), (0.1, 0.4))

    failed = []
    threads = [threading.Thread(target=lambda: _note(turn, failed)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed


def _note(work: object, failed: list[BaseException]) -> None:
    try:
        work()
    except BaseException as error:
        failed.append(error)
