"""Builds the C library for other systems, each into an archive with all that an application needs.

    python native/archives.py                              # every target, into dist/c/
    python native/archives.py --target linux-aarch64       # one

The compiler is clang with the C libraries of every system, as the package ziglang brings it (pip install
ziglang==0.15.1): one machine builds for all. An archive, edge_harmony-VERSION-TARGET.tar.gz, holds include/, lib/ with
CMake's and pkg-config's files, bindings/ (C#), examples/, models/ with their cards, and the licences; SHA256SUMS lists
all in the folder. Two runs give the same bytes. ONNX Runtime itself is not in it: see docs/c-library.md.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
ROOT = NATIVE.parent
FLAGS = [
    "-std=gnu11", "-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-fno-sanitize=undefined",
    "-fvisibility=hidden", "-DEDGE_HARMONY_BUILDING", "-shared", "-Wall", "-Wextra", "-Werror",
]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A system and processor: as zig names it, and the library's files, the real one first, then links to it."""

    zig: str
    files: tuple[str, ...]
    flags: tuple[str, ...]
    import_library: str = ""


def linux(processor: str) -> Target:
    """Any Linux with glibc 2.28 (2018) or later."""
    files = ("lib/libedgeharmony.so.{version}", "lib/libedgeharmony.so.{abi}", "lib/libedgeharmony.so")
    flags = ("-fPIC", "-Wl,-soname,libedgeharmony.so.{abi}", "-lm", "-lpthread", "-ldl")
    return Target(f"{processor}-linux-gnu.2.28", files, flags)


def macos(processor: str) -> Target:
    files = ("lib/libedgeharmony.{abi}.dylib", "lib/libedgeharmony.dylib")
    return Target(f"{processor}-macos", files, ("-fPIC", "-Wl,-install_name,@rpath/libedgeharmony.{abi}.dylib"))


TARGETS = {
    "linux-x86_64": linux("x86_64"),
    "linux-aarch64": linux("aarch64"),
    "windows-x86_64": Target(
        "x86_64-windows-gnu", ("bin/edgeharmony.dll",), ("-Wl,--out-implib,{folder}/lib/edgeharmony.lib",),
        "lib/edgeharmony.lib",
    ),
    "macos-aarch64": macos("aarch64"),
    "macos-x86_64": macos("x86_64"),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="may be repeated; default: all")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "c", help="the folder (default: dist/c)")
    given = parser.parse_args()
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        for name in given.target or TARGETS:
            print(build(name, given.out), flush=True)
        sums = [f"{digest(path)}  {path.name}\n" for path in sorted(given.out.glob("*.tar.gz"))]
        (given.out / "SHA256SUMS").write_text("".join(sums))
    except subprocess.CalledProcessError as error:
        print(f"error: the compiler failed: {error}\nhint: pip install ziglang==0.15.1", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}\nhint: choose another folder with --out", file=sys.stderr)
        return 1
    return 0


def build(name: str, out: Path) -> Path:
    """Build one archive and return its place."""
    target, (version, abi) = TARGETS[name], versions()
    archive = out / f"edge_harmony-{version}-{name}.tar.gz"
    with tempfile.TemporaryDirectory(prefix="edge-harmony-c-") as temporary:
        folder = Path(temporary) / archive.name.removesuffix(".tar.gz")
        words = {"version": version, "abi": abi, "folder": str(folder)}
        (folder / "lib").mkdir(parents=True)
        library = folder / target.files[0].format(**words)
        library.parent.mkdir(exist_ok=True)
        sources = sorted(str(path.relative_to(NATIVE)) for path in (NATIVE / "library").glob("*.c"))
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target.zig, "-mcpu=baseline", *FLAGS, *sources,
                   "-o", str(library), *(flag.format(**words) for flag in target.flags)]  # fmt: skip
        subprocess.run(command, check=True, cwd=NATIVE)
        for extra in library.parent.glob("*.pdb"):  # what a debugger would want
            extra.unlink()
        for link in target.files[1:]:
            (folder / link.format(**words)).symlink_to(library.name)
        fill(folder, target, words)
        pack(folder, archive)
    return archive


def fill(folder: Path, target: Target, words: dict[str, str]) -> None:
    """Everything but the library itself."""
    values = {
        "PROJECT_VERSION": words["version"], "LOCATION": target.files[0].format(**words),
        "IMPORT_LIBRARY": target.import_library, "CMAKE_INSTALL_LIBDIR": "lib", "CMAKE_INSTALL_INCLUDEDIR": "include",
        "prefix_from_pc": "../..", "private_libraries": "",
    }  # fmt: skip
    for template, place in (
        ("archive-config.cmake.in", "lib/cmake/edge_harmony/edge_harmony-config.cmake"),
        ("archive-config-version.cmake.in", "lib/cmake/edge_harmony/edge_harmony-config-version.cmake"),
        ("edge_harmony.pc.in", "lib/pkgconfig/edge_harmony.pc"),
    ):
        text = re.sub(r"@(\w+)@", lambda found: values[found[1]], (NATIVE / template).read_text(encoding="utf-8"))
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text)
    for name in ("include", "bindings", "examples"):
        shutil.copytree(NATIVE / name, folder / name)
    (folder / "models").mkdir()
    for name in ("base", "nano", "person"):
        for kind in ("onnx", "md"):
            shutil.copy(ROOT / "edge_harmony" / "models" / f"{name}.{kind}", folder / "models")
    shutil.copy(ROOT / "LICENSE", folder)
    shutil.copy(NATIVE / "third_party" / "onnxruntime" / "LICENSE", folder / "LICENSE-onnxruntime-headers")
    page = (ROOT / "docs" / "c-library.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(page.replace("../native/", ""), encoding="utf-8")


def pack(folder: Path, archive: Path) -> None:
    """The same bytes each time: names in order, times and owners left out."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            entry = tar.gettarinfo(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o755 if path.is_dir() else 0o644
            if entry.isfile():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)
    part = archive.with_suffix(".part")
    part.write_bytes(gzip.compress(held.getvalue(), 9, mtime=0))
    os.replace(part, archive)


def versions() -> tuple[str, str]:
    """The library's version and the number of its ABI, as the header says."""
    header = (NATIVE / "include" / "edge_harmony.h").read_text()
    found = re.search(r'#define EDGE_HARMONY_VERSION "([^"]+)"\n#define EDGE_HARMONY_ABI (\d+)', header)
    assert found, "the header says no version"
    return found[1], found[2]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
