"""Writes docs/settings.md from the table of settings, so that the page cannot say anything else.

python docs/settings_page.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edge_harmony.settings import SETTINGS, Setting

_HEAD = """\
# Settings

Made from the table in `edge_harmony/settings.py` by `python docs/settings_page.py`.

A setting means the same wherever it is made: in a TOML file after `--config`, in a preset (`--preset`), as an option,
on the page or with a key while a stream runs, and as an argument of the class that uses it. An option goes before the
file, the file before the preset. A value out of range is an error everywhere; nothing is clipped.

```toml
[harmonize]
strength = 0.9

[finish]
light_wrap = 0.3
```
"""


def settings_page() -> str:
    """The whole page."""
    lines = [_HEAD]
    for section in dict.fromkeys(setting.section for setting in SETTINGS.values()):
        lines += [f"## [{section}]", "", "| key | what it does | values | default | option | on the page |"]
        lines += ["|---|---|---|---|---|---|"]
        lines += [_row(setting) for setting in SETTINGS.values() if setting.section == section]
        lines += [""]
    return "\n".join(lines)


def _row(setting: Setting) -> str:
    key = f"`{setting.name}`" if setting.in_file else f"{setting.name} (while it runs)"
    option = f"`{setting.option}`" if setting.option else ""
    on_page = ""
    if setting.on_page is not None:
        shown = {" ": "space"}.get(setting.on_page.key, setting.on_page.key)
        on_page = setting.on_page.label + (f" (key {shown})" if shown else "")
    return f"| {key} | {setting.help} | {_values(setting)} | `{_toml(setting.default)}` | {option} | {on_page} |"


def _values(setting: Setting) -> str:
    if setting.kind == "choice":
        return ", ".join(setting.choices)
    if setting.kind in ("number", "whole"):
        return f"{setting.low:g} .. {setting.high:g}"
    return {"switch": "true, false", "text": "text"}[setting.kind]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    Path(__file__).with_name("settings.md").write_text(settings_page())
