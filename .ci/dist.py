"""Builds the wheel of the last commit into dist/: twice, to the same bytes, with its hash and a list of its parts.

    make dist

writes the wheel, SHA256SUMS, and NAME.cdx.json: a CycloneDX list of the packages that installing it brings on this
Python, with versions, licences and addresses. Files in the wheel have the time of the last commit (SOURCE_DATE_EPOCH,
where that is set). Exits with 1 where two builds differ, naming the files.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    if output(["git", "status", "--porcelain", "--untracked-files=no"]):
        print("warning: there are changes that are not committed, and they are not in it", file=sys.stderr)
    commit = output(["git", "rev-parse", "HEAD"])
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or output(["git", "log", "-1", "--format=%ct", commit])
    with tempfile.TemporaryDirectory(prefix="edge-harmony-dist-") as folder:
        first, second = (build(Path(folder) / name, commit, epoch) for name in ("first", "second"))
        different = differences(first, second)
        if different:
            print(f"error: two builds of {first.name} differ: {', '.join(different[:10])}", file=sys.stderr)
            print("hint: something in them depends on the machine or the time", file=sys.stderr)
            return 1
        target = ROOT / "dist"
        target.mkdir(exist_ok=True)
        wheel = target / first.name
        wheel.write_bytes(first.read_bytes())
        listed = target / f"{wheel.stem}.cdx.json"
        list_parts(wheel, listed, Path(folder) / "installed")
    sums = "".join(f"{digest(path)}  {path.name}\n" for path in (wheel, listed))
    (target / "SHA256SUMS").write_text(sums)
    print(f"{wheel.relative_to(ROOT)}, built twice to the same bytes\n{sums}", end="")
    return 0


def build(folder: Path, commit: str, epoch: str) -> Path:
    """Build the wheel from a fresh copy of a commit, and return its place."""
    source = folder / "source"
    archive = subprocess.run(["git", "archive", "--format=tar", commit], cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        for member in tar.getmembers():
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            tar.extract(member, source)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0"}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-qq", "--no-deps"]
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True, env=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def differences(one: Path, two: Path) -> list[str]:
    """The files in which two wheels differ; the wheel's own name where only their order, times or modes do."""
    if one.read_bytes() == two.read_bytes():
        return []
    held = []
    for path in (one, two):
        with zipfile.ZipFile(path) as archive:
            held.append({entry.filename: archive.read(entry) for entry in archive.infolist()})
    names = sorted(set(held[0]) | set(held[1]))
    return [name for name in names if held[0].get(name) != held[1].get(name)] or [one.name]


def list_parts(wheel: Path, target: Path, folder: Path) -> None:
    """Install the wheel as a user does, and list what came with it."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-qq", str(wheel)], check=True)
    subprocess.run([*pip, "uninstall", "-qq", "-y", "setuptools", "pip"], check=True)
    command = [sys.executable, "-m", "cyclonedx_py", "environment", str(python), "--pyproject", ROOT / "pyproject.toml",
               "--output-reproducible", "--of", "JSON", "-o", target]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def output(command: list[str]) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
