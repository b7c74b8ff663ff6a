"""Write the file by which GStreamer finds the element ``edgeharmony``.

    python -m edge_harmony.gstreamer.install
    python -m edge_harmony.gstreamer.install FOLDER

GStreamer's Python loader runs every file in the folder ``python`` of its plugin folders, in the Python that it was
built with. The file says where this environment's packages are; so this must be run by a Python of that version.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import edge_harmony
from edge_harmony.run.arguments import Parser
from edge_harmony.run.exit_code import exit_code
from edge_harmony.run.whole_file import WholeFile

_TEXT = '''\
"""The GStreamer element edgeharmony. Written by: python -m edge_harmony.gstreamer.install"""

import sys

if sys.version_info[:2] != {version}:
    raise ImportError(
        "edgeharmony was installed by Python {version[0]}.{version[1]}, but GStreamer runs Python %d.%d: "
        "run python -m edge_harmony.gstreamer.install in an environment of that version" % sys.version_info[:2]
    )
sys.path[:0] = {folders}

from edge_harmony.gstreamer.element import EdgeHarmony

__gstelementfactory__ = ("edgeharmony", 0, EdgeHarmony)
'''


def main(argv: list[str] | None = None) -> int:
    parser = Parser(
        prog="python -m edge_harmony.gstreamer.install", description="Install the GStreamer element edgeharmony."
    )
    parser.add_argument("folder", type=Path, nargs="?", help="a folder of GST_PLUGIN_PATH (default: the user's own)")
    args = parser.parse_args(argv)

    def work() -> None:
        home = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
        folder = args.folder or home / "gstreamer-1.0" / "plugins"
        paths = sysconfig.get_paths()
        ours = [str(Path(edge_harmony.__file__).parents[1]), paths["purelib"], paths["platlib"]]
        file = folder / "python" / "edgeharmony.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = _TEXT.format(version=tuple(sys.version_info[:2]), folders=list(dict.fromkeys(ours)))
        whole = WholeFile(file, overwrite=True)
        try:
            whole.temporary.write_text(text, encoding="utf-8")
            whole.commit()
        finally:
            whole.discard()
        print(file)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
