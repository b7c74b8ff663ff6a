"""What the browser package says twice is said alike: the version, the contract's numbers, the licence."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import edge_harmony
from edge_harmony import contract

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "web-sdk"


def test_version_is_that_of_python() -> None:
    locked = json.loads((SDK / "package-lock.json").read_text())
    versions = [
        json.loads((SDK / "package.json").read_text())["version"],
        locked["version"],
        locked["packages"][""]["version"],
    ]
    assert versions == [edge_harmony.__version__] * 3, "npm version --prefix web-sdk --no-git-tag-version VERSION"


def test_contract_is_that_of_python() -> None:
    found = re.findall(r'^export const ([A-Z_]+) = (\d+|"\w+");$', (SDK / "src" / "contract.ts").read_text(), re.M)
    assert len(found) == 9
    for name, value in found:
        assert json.loads(value) == getattr(contract, name), name


def test_nothing_of_others_is_kept_here() -> None:
    kept = subprocess.run(["git", "ls-files", "web-sdk"], cwd=ROOT, capture_output=True, text=True)
    if kept.returncode:
        pytest.skip("no git checkout")
    suffixes = {Path(line).suffix for line in kept.stdout.splitlines()}
    assert not suffixes & {".wasm", ".onnx", ".tgz"}
    assert not any("node_modules" in line or line.startswith("web-sdk/dist") for line in kept.stdout.splitlines())


def test_types_as_an_application_sees_them(sdk: Path, tmp_path: Path) -> None:
    """A program of a user compiles against the declarations, and one that passes nonsense does not."""
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "edge-harmony").symlink_to(sdk, target_is_directory=True)
    use = """
import { createHarmonizer, EdgeHarmonyError, type Harmonizer } from "edge-harmony";
export async function start(camera: MediaStreamTrack, picture: HTMLImageElement): Promise<MediaStreamTrack> {
  const harmonizer: Harmonizer = await createHarmonizer({ matte: "person", runtime: "/ort/" });
  harmonizer.strength = 0.8;
  const frame = new ImageData(64, 64);
  const canvas = await harmonizer.process(frame, { alpha: new Uint8Array(64 * 64), background: "#336699", timeMs: 40 });
  document.body.append(canvas as HTMLCanvasElement);
  return harmonizer.harmonizeTrack(camera, { background: picture });
}
export const hint = (error: unknown): string => (error instanceof EdgeHarmonyError ? error.hint : "");
"""
    (tmp_path / "use.ts").write_text(use)
    (tmp_path / "wrong.ts").write_text(use.replace('matte: "person"', 'matte: "dog"'))
    tsc = [shutil.which("node") or "node", str(sdk / "node_modules" / "typescript" / "bin" / "tsc"), "--noEmit"]
    options = ["--strict", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"]
    done = subprocess.run([*tsc, *options, "use.ts"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    done = subprocess.run([*tsc, *options, "wrong.ts"], cwd=tmp_path, capture_output=True, text=True)
    assert "dog" in done.stdout


def test_what_is_published(sdk: Path) -> None:
    """The package holds its modules, types, models and licence, and not ONNX Runtime, which npm brings."""
    done = subprocess.run(
        ["npm", "pack", "--dry-run", "--json", "--ignore-scripts"], cwd=sdk, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (packed,) = json.loads(done.stdout)
    files = {entry["path"] for entry in packed["files"]}
    wanted = {"index.js", "index.d.ts", "network-worker.js", "LICENSE", "models/base.onnx", "models/person.onnx"}
    assert {f"dist/{name}" for name in wanted} | {"README.md", "package.json"} <= files
    assert not [name for name in files if "ort" in name.split("/")[1:2] or name.startswith("demo")]
    assert packed["size"] < 6e6
