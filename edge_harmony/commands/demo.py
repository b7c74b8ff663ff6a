"""``edge-harmony demo --web``: the page on which everything runs in the visitor's own browser."""

from __future__ import annotations

import argparse
from typing import Final

from edge_harmony.errors import ConfigError
from edge_harmony.run.arguments import Subparsers

_PORT: Final = "8770"

_DESCRIPTION = """\
Serve the page of web-sdk/demo/: the visitor's camera, or a clip that comes with it, on a background by choice, before
and after. Cut-out, colours and all are computed in the visitor's browser; nothing is sent anywhere.

It needs the source of edge_harmony, with the browser package built once (Node.js 20 or later):

  npm ci --prefix web-sdk && npm run build --prefix web-sdk

Browsers give a page the camera at 127.0.0.1 or behind HTTPS only; from another machine the clip works.
"""

_EPILOG = """\
examples:
  edge-harmony demo --web
  edge-harmony demo --web 8080
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "demo",
        help="a page that harmonizes in the visitor's browser",
        usage="edge-harmony demo --web [[HOST:]PORT]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--web",
        nargs="?",
        const=_PORT,
        metavar="[HOST:]PORT",
        help=f"serve the page, here or at an address (default: {_PORT}, for this machine alone)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    from edge_harmony.web.browser_demo import BrowserDemo

    if args.web is None:
        raise ConfigError("what is to be shown?", "edge-harmony demo --web; for pictures and a video: make demo")
    with BrowserDemo(args.web) as demo:
        print(f"{demo.url}\nopen it in a browser; Ctrl-C ends it", flush=True)
        demo.wait()
    return 0
