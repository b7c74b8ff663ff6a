"""Runs the runtime's tests with the lowest and the highest version of every dependency, on each Python that is at hand.

    python .ci/ranges.py                     the tests that meet most of what others wrote, a few minutes in all
    python .ci/ranges.py --all               capture, sinks, compose, backgrounds, matte, harmonize, command line
    python .ci/ranges.py --python 3.12       one Python; --end lowest one end of the range
    python .ci/ranges.py --keep FOLDER       environments that stay, for the next time

The ranges are those of pyproject.toml: the lowest end installs each bound itself, the highest what pip gives a new
user. A Python that is neither on the path, nor pyenv's, nor uv's is left out, which is said. Exits with 1 when a test
fails or an end cannot be installed, and when no Python was found.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ENDS = ("lowest", "highest")
QUICK = (
    "tests/capture/test_video.py", "tests/capture/test_picture.py", "tests/capture/test_picture_kinds.py",
    "tests/sinks/test_video_sink.py", "tests/sinks/test_recording.py", "tests/sinks/test_push.py",
    "tests/matte/test_onnx.py", "tests/harmonize/test_harmonizer.py", "tests/compose/test_compositor.py",
)  # fmt: skip
ALL = (
    "tests/capture", "tests/sinks", "tests/compose", "tests/backgrounds", "tests/matte", "tests/harmonize", "tests/cli",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", choices=PYTHONS, nargs="+", default=PYTHONS)
    parser.add_argument("--end", choices=ENDS, nargs="+", default=ENDS)
    parser.add_argument("--all", action="store_true", help="the whole of the runtime's tests")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the environments there, and use those in it")
    args = parser.parse_args()
    place = args.keep or Path(tempfile.mkdtemp(prefix="edge-harmony-ranges-"))
    failed, ran = [], 0
    try:
        for version in args.python:
            python = find_python(version)
            if python is None:
                print(f"{version}: left out, this Python is not on this machine", flush=True)
                continue
            for end in args.end:
                start_s = time.monotonic()
                ok = run(python, version, end, place, ALL if args.all else QUICK)
                ran += 1
                print(f"{version} {end}: {'ok' if ok else 'FAILED'}, {time.monotonic() - start_s:.0f} s", flush=True)
                if not ok:
                    failed.append(f"{version} {end}")
    finally:
        if args.keep is None:
            shutil.rmtree(place, ignore_errors=True)
    if not ran:
        print("error: none of these Pythons is on this machine: " + ", ".join(args.python), file=sys.stderr)
    return 1 if failed or not ran else 0


def find_python(version: str) -> str | None:
    """An interpreter of that version which really runs: from the path, pyenv or uv."""
    candidates = [shutil.which(f"python{version}"), sys.executable]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    if (uv := shutil.which("uv")) is not None:
        found = subprocess.run([uv, "python", "find", "--offline", version], capture_output=True, text=True)
        candidates.append(found.stdout.strip())
    for candidate in filter(None, candidates):
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        try:
            said = subprocess.run([candidate, "-c", code], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if said.stdout.strip() == version:
            return candidate
    return None


def requirements(end: str) -> list[str]:
    """What to install for an end of the range: the runtime's dependencies, and what its tests need besides."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    onnx = [line for line in project["optional-dependencies"]["export"] if re.match(r"onnx\b", line)]
    wanted = project["dependencies"] + onnx
    if end == "lowest":
        wanted = [lowest(line) for line in wanted]
    return [*wanted, "pytest>=8", "hypothesis>=6.100"]


def lowest(requirement: str) -> str:
    """``name>=1.2,<3; marker`` as ``name==1.2; marker``."""
    found = re.fullmatch(r"([\w.-]+)\s*>=\s*([\w.]+)\s*,\s*<\s*[\w.]+\s*(;.*)?", requirement)
    if found is None:
        raise SystemExit(f"error: {requirement!r} in pyproject.toml is no range, as name>=1.2,<3 is")
    return f"{found[1]}=={found[2]}{found[3] or ''}"


def run(python: str, version: str, end: str, place: Path, tests: tuple[str, ...]) -> bool:
    """Install one end into an environment of its own, and run the tests in it."""
    environment = place / f"{version}-{end}"
    inside = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", str(environment)], check=True)
    # Wheels only: a version that has none for this Python is none that a user would get.
    install = [str(inside), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
    if end == "highest":
        install += ["--upgrade", "--upgrade-strategy", "eager"]
    installed = subprocess.run([*install, *requirements(end)], capture_output=True, text=True)
    if installed.returncode:
        print(installed.stdout + installed.stderr, flush=True)
        return False
    frozen = subprocess.run([str(inside), "-m", "pip", "freeze"], capture_output=True, text=True, check=True)
    names = {re.split(r"[><=;]", line)[0].strip().lower() for line in requirements(end)}
    print(f"{version} {end}:", *(line for line in frozen.stdout.split() if line.split("==")[0].lower() in names))
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON", "VIRTUAL_ENV"))}
    command = [str(inside), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    return subprocess.run(command, cwd=ROOT, env=plain).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
