"""Writes docs/api.md, the list of what is public, from signatures and docstrings. Reads the sources, imports nothing.

python docs/api_page.py
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import griffe

ROOT: Final = Path(__file__).resolve().parent.parent
# What is public: every name of these modules' __all__, or the names given.
PUBLIC: Final[dict[str, tuple[str, ...]]] = {
    "edge_harmony": (),
    "edge_harmony.live": (),
    "edge_harmony.capture": (),
    "edge_harmony.matte": (),
    "edge_harmony.harmonize": (),
    "edge_harmony.compose": (),
    "edge_harmony.sinks.base": (),
    "edge_harmony.sinks.select": ("open_live_sink", "LiveSinkOptions"),
    "edge_harmony.web": (),
    "edge_harmony.backgrounds.fit": ("fit", "solid"),
    "edge_harmony.pixels.over": ("over",),
    "edge_harmony.pixels.frame": ("check_frame", "check_alpha"),
    "edge_harmony.settings": ("Config", "Setting"),
    "edge_harmony.config": ("load_config", "override"),
    "edge_harmony.plugins": ("registered",),
}

_HEAD: Final = """\
# The API

Written from the docstrings by `python docs/api_page.py`. What stands here is public, and `edge_harmony.contract` with
it; everything else may change without a word. Frames are uint8 (H, W, 3) BGR, alphas uint8 (H, W), 255 is subject.
"""


def public_names(package: Any) -> dict[str, list[str]]:
    """The public names by module, in the order in which they are shown."""
    found = {}
    for module, names in PUBLIC.items():
        home = package if module == package.path else package[module.partition(".")[2]]
        found[module] = [name for name in names or [str(name) for name in home.exports or ()] if name[0] != "_"]
    return found


def api_page() -> str:
    """The whole page."""
    logging.getLogger("griffe").setLevel(logging.ERROR)
    package = griffe.load("edge_harmony", search_paths=[str(ROOT)])
    lines, shown = [_HEAD], {}
    for module, names in public_names(package).items():
        lines += [f"## {module}", ""]
        home = package if module == package.path else package[module.partition(".")[2]]
        for name in names:
            one = home[name].final_target if home[name].is_alias else home[name]
            if one.path in shown:
                lines += [f"`{name}`: see [{shown[one.path]}](#{_anchor(shown[one.path])})", ""]
                continue
            shown[one.path] = name
            lines += [f"### {name}", "", *_described(one), ""]
    return "\n".join(lines).rstrip() + "\n"


def _described(one: Any) -> list[str]:
    if one.is_function:
        return [_code(_signature(one)), "", *_text(one)]
    if not one.is_class:
        return [_code(f"{one.name} = {one.value}" if one.value is not None else one.name), "", *_text(one)]
    lines = [_code(_class_line(one)), "", *_text(one)]
    for name, member in one.members.items():
        if name.startswith("_") and name not in ("__call__", "__iter__"):
            continue
        if member.is_function:
            lines += ["", _code(_signature(member)), "", *_text(member)]
        elif member.is_attribute and "property" in member.labels:
            kind = f": {member.annotation}" if member.annotation is not None else ""
            lines += ["", _code(f"{name}{kind}"), "", *_text(member)]
    return lines


def _class_line(one: Any) -> str:
    made = one.members.get("__init__")
    if made is not None and made.is_function:
        return _signature(made).replace("__init__", one.name, 1).removesuffix(" -> None")
    fields = [m for m in one.members.values() if m.is_attribute and m.annotation is not None and m.name[0] != "_"]
    if "dataclass" not in one.labels:
        return f"class {one.name}"
    words = [f"{m.name}: {m.annotation}" + ("" if m.value is None else " = ...") for m in fields]
    return f"{one.name}({', '.join(words)})"


def _signature(function: Any) -> str:
    words, star = [], False
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        kind = parameter.kind.value if parameter.kind is not None else ""
        if kind == "keyword-only" and not star:
            words.append("*")
            star = True
        star = star or kind == "variadic positional"
        stars = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        text = f"{stars}{parameter.name}"
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not stars:
            text += f" = {parameter.default}"
        words.append(text)
    returned = f" -> {function.returns}" if function.returns is not None else ""
    return f"{function.name}({', '.join(words)}){returned}"


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _text(one: Any) -> list[str]:
    """A docstring as it is written, its sections as headings of a list."""
    if one.docstring is None:
        return []
    lines: list[str] = []
    for section in one.docstring.parse("google", returns_multiple_items=False, returns_named_value=False):
        kind = section.kind.value
        if kind == "text":
            lines += [section.value.replace("``", "`"), ""]
            continue
        if not isinstance(section.value, list):
            lines += [f"**{section.title or kind}**: {section.value}".replace("``", "`"), ""]
            continue
        lines += [f"{kind.capitalize()}:", ""]
        for item in section.value:
            name = getattr(item, "name", "") or (str(item.annotation) if item.annotation is not None else "")
            words = " ".join(item.description.split()).replace("``", "`")
            lines.append(f"- `{name}`: {words}" if name and kind != "returns" else f"- {words}")
        lines.append("")
    return lines[:-1] if lines and not lines[-1] else lines


def _anchor(name: str) -> str:
    return name.lower()


if __name__ == "__main__":
    Path(__file__).with_name("api.md").write_text(api_page())
