"""``python -m edge_harmony`` is the command ``edge-harmony``."""

from edge_harmony.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
