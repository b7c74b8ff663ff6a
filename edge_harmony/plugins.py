"""Sources, mattes and sinks of other packages, registered under a name by entry points.

A package says in its ``pyproject.toml`` which names it adds::

    [project.entry-points."edge_harmony.sources"]
    ndi = "my_ndi:open_ndi"

From then on ``ndi:STUDIO`` or ``ndi://STUDIO`` is a source on the command line and in ``open_source``; groups
``edge_harmony.mattes`` and ``edge_harmony.sinks`` do the same for ``open_matte`` and ``open_live_sink``. Names of our
own go first. docs/extending.md has an example of each.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from edge_harmony.errors import BackendUnavailableError, ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SOURCES: Final = "edge_harmony.sources"
MATTES: Final = "edge_harmony.mattes"
SINKS: Final = "edge_harmony.sinks"

_NAMED: Final = re.compile(r"([A-Za-z][\w.+-]*)(?:$|:(?://)?(.*))", re.DOTALL)  # NAME, NAME:rest, NAME://rest


def registered(group: str) -> dict[str, EntryPoint]:
    """What other packages have registered in a group, by name, in the alphabet's order; nothing of it is imported."""
    from importlib.metadata import entry_points  # slow to import, and few need it

    return {entry.name: entry for entry in sorted(entry_points(group=group), key=lambda entry: entry.name)}


def find(group: str, spec: str) -> tuple[Any, str] | None:
    """What is registered for a spec, imported, and what stands behind the name; None where no such name is registered.

    Args:
        group: ``SOURCES``, ``MATTES`` or ``SINKS``.
        spec: what the user wrote; the name is what stands before its first colon.

    Raises:
        BackendUnavailableError: the package that registers the name cannot be imported.
    """
    named = _NAMED.match(spec)
    entry = registered(group).get(named[1]) if named else None
    if named is None or entry is None:
        return None
    try:
        return entry.load(), named[2] or ""
    except Exception as error:  # anything can go wrong in a package of others
        package = entry.dist.name if entry.dist is not None else entry.value
        raise BackendUnavailableError(
            f"{entry.name} of the package {package} cannot be loaded: {error}", f"install {package} again, or remove it"
        ) from error


def require(made: Any, kind: type, spec: str) -> Any:
    """Return what a registered name made, if it is of the kind that its group is for; else raise ``ConfigError``."""
    if not isinstance(made, kind):
        name = spec.partition(":")[0]
        raise ConfigError(
            f"what is registered as {name} made {type(made).__name__}, which is no {kind.__name__}",
            f"make it a {kind.__module__}.{kind.__name__}; docs/extending.md shows how",
        )
    return made
