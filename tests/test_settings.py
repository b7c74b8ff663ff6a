"""One table of settings: file, command line, controls and classes take the same values and refuse the same."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest

from docs.settings_page import settings_page
from edge_harmony.commands.options import add_setting
from edge_harmony.compose import Compositor
from edge_harmony.config import load_config, override
from edge_harmony.errors import ConfigError
from edge_harmony.live.controls import CONTROLS, Controls
from edge_harmony.matte import Refinement
from edge_harmony.settings import SETTINGS, Config, Setting
from tests.cli.runner import run

RANGED = [one for one in SETTINGS.values() if one.kind in ("number", "whole")]
LIBRARY = {
    "strength": Compositor, "smoothing": Compositor, "light_wrap": Compositor, "grain": Compositor, "fit": Compositor,
    "black": Refinement, "white": Refinement, "grow": Refinement, "feather": Refinement, "snap": Refinement,
}  # fmt: skip
IDS = {"ids": lambda one: f"{one.section}.{one.name}"}


def beyond(setting: Setting) -> list[float]:
    step = 1 if setting.kind == "whole" else 0.001
    return [setting.low - step, setting.high + step]


def made_by_library(setting: Setting, value: object) -> object:
    kind = LIBRARY[setting.name]
    return kind(None, **{setting.name: value}) if kind is Compositor else kind(**{setting.name: value})


@pytest.mark.parametrize("setting", RANGED, **IDS)
def test_out_of_range_is_refused_everywhere(setting: Setting, tmp_path: Path) -> None:
    for value in beyond(setting):
        hints = set()
        if setting.in_file:
            file = tmp_path / "settings.toml"
            file.write_text(f"[{setting.section}]\n{setting.name} = {value}\n")
            with pytest.raises(ConfigError, match=setting.name) as caught:
                load_config(file)
            hints.add(caught.value.hint)
        for control in (one for one in CONTROLS if one.setting is setting):
            with pytest.raises(ConfigError, match=control.name) as caught:
                Controls({control.name: value})
            hints.add(caught.value.hint)
        if setting.name in LIBRARY:
            with pytest.raises(ConfigError, match=setting.name) as caught:
                made_by_library(setting, value)
            hints.add(caught.value.hint)
        assert hints == {f"it must lie in {setting.low:g} .. {setting.high:g}"}


@pytest.mark.parametrize("setting", RANGED, **IDS)
def test_its_own_limits_are_taken_everywhere(setting: Setting) -> None:
    for value in (setting.low, setting.high):
        kind = int if setting.kind == "whole" else float
        pair = {"white": 1.0} if setting.name == "black" else {"black": 0.0}
        rest = {} if setting.section != "matte" else pair
        if setting.in_file:
            config = override(Config(), {setting.section: {setting.name: kind(value), **rest}}, "here")
            assert getattr(getattr(config, setting.section), setting.name) == value
            for control in (one for one in CONTROLS if one.setting is setting):
                assert Controls.of(config).get(control.name) == value
        if setting.name in LIBRARY:
            assert getattr(made_by_library(setting, kind(value)), setting.name) == value


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A picture with a subject that has an alpha channel, to try commands on."""
    alpha = np.zeros((96, 96), np.uint8)
    alpha[20:80, 20:80] = 255
    cv2.imwrite(str(tmp_path / "subject.png"), np.dstack([np.full((96, 96, 3), 90, np.uint8), alpha]))
    return tmp_path


@pytest.mark.parametrize("command", ["image", "process", "stream"])
@pytest.mark.parametrize("setting", [one for one in RANGED if one.option], **IDS)
def test_the_command_line_refuses_it_in_every_command(setting: Setting, command: str, scene: Path) -> None:
    if (command, setting.name) in (("image", "smoothing"), ("image", "crf"), ("stream", "crf")):
        pytest.skip("this command has no such option")
    subject = scene / "subject.png"
    where = ("--source", subject, "--no-window") if command == "stream" else (subject,)
    for value in beyond(setting):
        given = f"{setting.option}={value:g}"
        done = run(command, *where, "--bg", "#102030", "--model", "none", "-o", scene / "out.png", given)
        assert (done.code, f"{setting.low:g} .. {setting.high:g}" in done.hint) == (2, True)
        assert f"{setting.section}.{setting.name}" in done.error
    assert not (scene / "out.png").exists()


def test_what_stream_took_silently_is_the_same_in_process(scene: Path) -> None:
    """Once ``stream`` took 64 for 32 and 0.999 for 0.99."""
    config = override(Config(), {"matte": {"grow": -64.0, "feather": 64.0}, "harmonize": {"smoothing": 0.999}}, "here")
    controls = Controls.of(config).snapshot()
    assert (controls["grow"], controls["feather"], controls["smoothing"]) == (-64.0, 64.0, 0.999)


def test_levels_that_cross_are_refused_by_all() -> None:
    levels = {"black": 0.6, "white": 0.5}
    for attempt in (
        lambda: override(Config(), {"matte": levels}, "here"), lambda: Controls(levels), lambda: Refinement(**levels),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=r"black is 0\.6 and white is 0\.5"):
            attempt()


def test_what_only_a_running_stream_has_is_no_key_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[stream]\nfrozen = true\n")
    with pytest.raises(ConfigError, match="frozen"):
        load_config(file)


def test_every_option_says_its_default() -> None:
    for place, setting in SETTINGS.items():
        if setting.option and setting.kind in ("number", "whole", "choice"):
            parser = argparse.ArgumentParser()
            add_setting(parser, place)
            assert "(default" in parser.format_help()


def test_the_page_of_the_documentation_is_the_table(repository: Path) -> None:
    page = (repository / "docs" / "settings.md").read_text()
    assert page == settings_page(), "write it anew: python docs/settings_page.py"
