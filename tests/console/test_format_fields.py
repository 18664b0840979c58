"""The options of a package's format in the console's forms."""

from __future__ import annotations

from dataclasses import fields
from importlib.resources import files
from typing import Any

import pytest

from prefect_collect.console.format_fields import format_fields, name_in_form
from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS, OPTION_GROUPS

LINES = "A = control_number\nB = native_path\n"
GIVEN: dict[str, dict[str, tuple[str, Any]]] = {
    "load_file": {
        "prefix": ("ABC", "ABC"), "width": ("6", 6), "tables": ("csv", "csv"), "volume_items": ("9", 9),
        "volume_bytes": ("1 MB", 1 << 20), "lines": (LINES.strip(), LINES),
    },
    "bag": {"tags": (" A=b\r\n\r\nC=d", ["A=b", "C=d"]), "volume_bytes": ("2 GiB", 2 << 30), "volumes": ("tar", "tar")},
    "mail": {"mbox_of": ("all", "all"), "volume_bytes": ("7 bytes", 7)},
    "dataset": {"rows": ("csv", "csv"), "hive": ("yes", True)},
}  # fmt: skip
FORMAT_OF = {"load_file": "loadfile", "bag": "bagit-group", "mail": "mail", "dataset": "dataset"}


def test_each_option_has_a_field() -> None:
    """The dialog of an export, and the form of a collection, ask for every option that some formats take."""
    folder = files("prefect_collect.console").joinpath("templates")
    asked = "".join(template.read_text(encoding="utf-8") for template in folder.iterdir())
    for group, options in OPTION_GROUPS.items():
        for field in fields(options):
            assert f'name="{{{{ prefix }}}}{name_in_form(group, field.name)}"' in asked


@pytest.mark.parametrize("group", OPTION_GROUPS)
def test_what_a_form_says_is_made_into_options(group: str) -> None:
    """Numbers, sizes, lines and boxes become what the export takes; another format's fields are left out."""
    form = {f"x_{name_in_form(group, name)}": text for name, (text, _) in GIVEN[group].items()}
    made = format_fields(form, FORMAT_OF[group], "x_")[group]
    wanted = {"profile" if name == "lines" else name: value for name, (_, value) in GIVEN[group].items()}
    assert {name: made[name] for name in wanted} == wanted
    other = next(name for name, facts in FORMATS.items() if group not in facts.options)
    assert format_fields(form, other, "x_").get(group) is None


@pytest.mark.parametrize(("name", "text"), [("lf_width", "six"), ("lf_volume_items", "-1"), ("lf_volume_bytes", "big")])
def test_what_is_no_number(name: str, text: str) -> None:
    """What cannot be understood is refused by the field's name."""
    with pytest.raises(UsageError, match=name.removeprefix("lf_")):
        format_fields({name: text}, "loadfile")
