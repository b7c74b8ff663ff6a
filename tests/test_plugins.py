"""Sources, mattes and sinks of another package: the examples of docs/extending.md, installed, on the command line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_harmony import plugins
from edge_harmony.capture import open_source
from edge_harmony.errors import BackendUnavailableError, ConfigError, SinkError, SourceError
from edge_harmony.matte import open_matte
from edge_harmony.sinks.select import open_live_sink
from tests.cli.runner import run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def install(folder: Path, project: str, entries: str, code: str) -> None:
    """Lay a package out as pip does; Python finds its entry points there."""
    name = project.replace("-", "_")
    (folder / f"{name}.py").write_text(code)
    about = folder / f"{name}-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: 1\n")
    (about / "entry_points.txt").write_text(entries)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages that Python imports from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name in ("my_harmony", "broken_harmony"):
            del sys.modules[name]


@pytest.fixture
def examples(packages: Path, repository: Path) -> Path:
    """The page's package."""
    page = (repository / "docs" / "extending.md").read_text()
    project = tomllib.loads(re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0])["project"]
    groups = project["entry-points"]
    entries = "\n".join(
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in names.items())
        for group, names in groups.items()
    )
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == len(groups) == 3
    for block in blocks:
        assert sum(bool(line.strip()) for line in block.splitlines()) <= 24
    install(packages, project["name"], entries, "\n".join(blocks))
    return packages


def test_the_examples_work_on_the_command_line(examples: Path, tmp_path: Path) -> None:
    levels = tmp_path / "levels.txt"
    done = run(
        "stream", "--source", "ramp:12", "--matte", "left:0.25", "--bg", "#000000", "--model", "none",
        "-o", f"brightness:{levels}", "--no-window", "--stats", "none",
    )  # fmt: skip
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in levels.read_text().splitlines()]
    assert len(lines) >= 8  # this sink may lose some
    times, means = np.array(lines, float).T
    assert np.all(np.diff(times) > 0)
    assert np.allclose(means, 0.25 * (40 + 25 * times), atol=0.1)  # a quarter of the picture is the subject


def test_process_takes_them_too_with_every_frame(examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.mp4"
    done = run("process", "ramp:7", "--matte", "left", "--bg", "#000000", "--model", "none", "-o", out)
    assert done.code == 0
    assert "7 frames" in done.out


def test_each_opens_by_its_name_in_the_library(examples: Path) -> None:
    assert plugins.registered(plugins.SOURCES)["ramp"].value == "my_harmony:open_ramp"
    assert "my_harmony" not in sys.modules  # nothing is imported to know the names
    with open_source("ramp://3") as source:
        assert source.name == "ramp"
    frame = np.full((80, 100, 3), 9, np.uint8)
    assert open_matte("left:0.3")(frame).mean() == pytest.approx(0.3 * 255)
    assert open_matte("left", share="0.5")(frame).mean() == pytest.approx(0.5 * 255)
    assert open_live_sink("brightness:x.txt").name == "x.txt"
    with pytest.raises(ConfigError, match="no part"):
        open_matte("left:7")
    with pytest.raises(ConfigError, match="no option shar") as caught:
        open_matte("left", shar=1)
    assert "share" in caught.value.hint


def test_a_misspelled_name_is_told_the_nearest(examples: Path) -> None:
    with pytest.raises(SourceError, match="do not begin") as caught:
        open_source("ramb://3")
    assert "ramp" in caught.value.hint
    with pytest.raises(ConfigError) as wrong:
        open_matte("lefd")
    assert "left" in wrong.value.hint
    with pytest.raises(SinkError) as unsent:
        open_live_sink("brightnes://x")
    assert "brightness" in unsent.value.hint


def test_a_package_that_cannot_be_imported_is_named(packages: Path) -> None:
    install(packages, "broken-harmony", "[edge_harmony.sinks]\nndi = broken_harmony:open\n", "import no_such_library\n")
    with pytest.raises(BackendUnavailableError, match=r"broken-harmony.*no_such_library"):
        open_live_sink("ndi:STUDIO")
    done = run("stream", "--source", "test:frames=2", "--model", "none", "-o", "ndi:STUDIO", "--no-window")
    assert (done.code, "broken-harmony" in done.hint) == (1, True)


def test_what_is_no_source_matte_or_sink_is_refused(packages: Path) -> None:
    names = "\n".join(f"[edge_harmony.{kind}]\nodd = broken_harmony:odd" for kind in ("sources", "mattes", "sinks"))
    install(packages, "broken-harmony", names + "\n", "def odd(spec='', source=None, options=None, refinement=None):\n"
            "    return object()\n")  # fmt: skip
    for attempt in (lambda: open_source("odd:1"), lambda: open_matte("odd"), lambda: open_live_sink("odd:1")):
        with pytest.raises(ConfigError, match="registered as odd made object"):
            attempt()


def test_our_own_names_go_first(packages: Path, tmp_path: Path) -> None:
    entries = "[edge_harmony.sources]\ntest = broken_harmony:odd\n[edge_harmony.mattes]\nchroma = broken_harmony:odd\n"
    install(packages, "broken-harmony", entries, "raise AssertionError\n")
    with open_source("test:frames=1") as source:
        assert source.frame_count == 1
    assert open_matte("chroma").name == "chroma key"
