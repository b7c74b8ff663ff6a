"""The sub-commands of ``edge-harmony``, one file each, with ``add_parser(subparsers)`` and ``run(args) -> int``."""
