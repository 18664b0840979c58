"""Write the reference in docs/python.md from the docstrings of the public names: `python -m tools.python_page`.

griffe reads the sources, so nothing is imported. Public are the names in `__all__` of the public modules, and those
that the package itself imports for type checkers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import griffe

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "python.md"
BEGIN, END = "<!-- made by tools/python_page.py -->", "<!-- end -->"
MODULES: Final = {
    "prefect_collect": "What most programs need.",
    "prefect_collect.jobs": "Jobs, seen and moved on.",
    "prefect_collect.blocks": "Data sources and stores, as they are saved in Prefect.",
    "prefect_collect.sources": "What writers of data sources need.",
}
_WIDTH: Final = 100
_ANNOTATED: Final = re.compile(r"Annotated\[(.+), Field\(.*\)\]")


def filled(page: str) -> str:
    """Return the page with its reference written anew."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{rest.partition(END)[2]}"


def reference() -> str:
    """Return the public API as Markdown."""
    package = griffe.load(
        "prefect_collect", search_paths=[ROOT / "src"], docstring_parser="google", resolve_aliases=True,
        docstring_options={"warnings": False},
    )  # fmt: skip
    seen: set[str] = set()
    parts = []
    for name, line in MODULES.items():
        module = package if name == "prefect_collect" else package[name.removeprefix("prefect_collect.")]
        names = sorted(map(str, module.exports or _for_type_checkers(module)), key=str.lower)
        objects = [module[each] for each in names if each in module.members]
        shown = [each for each in objects if each.canonical_path not in seen and not each.is_module]
        seen |= {each.canonical_path for each in shown}
        parts += [f"## Reference: {name}", "", line, "", *(text for each in shown for text in _object(each))]
    return "\n".join(parts).replace("\n\n\n", "\n\n")


def _for_type_checkers(module: griffe.Object | griffe.Alias) -> Iterator[str]:
    return (name for name, each in module.members.items() if each.is_alias and not each.runtime)


def _object(found: griffe.Object | griffe.Alias) -> Iterator[str]:
    if found.is_attribute:
        return
    yield from (f"### {found.name}", "")
    if found.is_function:
        yield from _code(_signature(cast(griffe.Function, found)))
    yield from _docstring(found)
    if found.is_class:
        yield from _members(cast(griffe.Class, found))


def _members(found: griffe.Class) -> Iterator[str]:
    """Yield the public properties and methods of a class, and the values of an enumeration."""
    if any(str(base).endswith("Enum") for base in found.bases):
        values = [f"`{name}`" for name, each in found.members.items() if each.is_attribute and name.isupper()]
        yield from (f"Values: {', '.join(values)}.", "")
        return
    inherited = {name for base in found.resolved_bases for name in base.all_members} if found.bases else set()
    for name, each in found.members.items():
        if name.startswith("_") or name in inherited or not each.docstring:
            continue
        if not (each.is_function or "property" in each.labels):
            continue
        if each.is_function:
            shown = _signature(cast(griffe.Function, each))
        else:
            shown = f"{name}: {cast(griffe.Attribute, each).annotation}"
        yield from (f"#### {found.name}.{name}", "")
        yield from _code(shown)
        yield from _docstring(each)


def _signature(function: griffe.Function) -> str:
    words = [_parameter(each) for each in function.parameters if each.name not in ("self", "cls")]
    kinds = [each.kind for each in function.parameters if each.name not in ("self", "cls")]
    keyword = griffe.ParameterKind.keyword_only
    if keyword in kinds and griffe.ParameterKind.var_positional not in kinds:
        words.insert(kinds.index(keyword), "*")
    returns = f" -> {function.returns}" if function.returns is not None else ""
    line = f"{function.name}({', '.join(words)}){returns}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{function.name}(", *(f"    {word}," for word in words), f"){returns}"])


_STARS: Final[dict[griffe.ParameterKind | None, str]] = {
    griffe.ParameterKind.var_positional: "*",
    griffe.ParameterKind.var_keyword: "**",
}


def _parameter(parameter: griffe.Parameter) -> str:
    star = _STARS.get(parameter.kind, "")
    annotation = _ANNOTATED.sub(r"\1", str(parameter.annotation or ""))
    default = "" if parameter.default is None or star else f"{' = ' if annotation else '='}{parameter.default}"
    return f"{star}{parameter.name}{': ' if annotation else ''}{annotation}{default}"


def _docstring(found: griffe.Object | griffe.Alias) -> Iterator[str]:
    for section in found.docstring.parsed if found.docstring else ():
        if section.kind is griffe.DocstringSectionKind.text:
            yield from (_text(section.value), "")
        elif section.kind is griffe.DocstringSectionKind.examples:
            yield from ("Example:", "")
            yield from (text for kind, value in section.value for text in _example(kind, value))
        elif section.kind is griffe.DocstringSectionKind.admonition:
            text = f"{section.title}: {section.value.description.strip()}"
            yield from (text.replace("\n```python", "\n\n```py", 1), "")
        elif isinstance(section.value, list):
            yield from (f"{_TITLES.get(section.kind.value, section.kind.value.capitalize())}:", "")
            yield from (_row(each) for each in section.value)
            yield ""


_TITLES: Final = {"parameters": "Arguments", "other parameters": "Other arguments"}


def _row(element: griffe.DocstringElement) -> str:
    name = getattr(element, "name", "") or str(element.annotation or "")
    text = _text(" ".join(element.description.split()))
    return f"- `{name}`: {text}" if name else f"- {text}"


def _example(kind: griffe.DocstringSectionKind, value: str) -> Iterator[str]:
    yield from (_code(value) if kind is griffe.DocstringSectionKind.examples else (value, ""))


def _text(text: str) -> str:
    """Return a docstring's text as Markdown: double backquotes of reStructuredText become single ones."""
    return re.sub(r"``([^`]+)``", r"`\1`", text).strip()


def _code(text: str) -> Iterator[str]:
    yield from ("```text", text, "```", "")


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
