"""The worked example of docs/writing-a-source.md runs."""

from __future__ import annotations

import mailbox
import re
import sys
import types
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from prefect_collect.items import Content, Item

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-source.md"


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The class of the page's first example, in a module of its own."""
    (code, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module = types.ModuleType("mailbox_source_example")
    sys.modules[module.__name__] = module
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    yield module.__dict__["MailboxSource"]
    del sys.modules[module.__name__]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A mailbox with three messages."""
    path = tmp_path / "sales.mbox"
    made = mailbox.mbox(path)
    for number in range(3):
        message = EmailMessage()
        message["Message-ID"] = f"<{number}@example.com>"
        message.set_content(f"Message {number}")
        made.add(message)
    made.close()
    return path


def test_example_is_short() -> None:
    """The example has about 30 lines of code."""
    (code, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) < 40


def test_example_reads(example: Any, box: Path) -> None:
    """The example lists and reads every message, in numbers and alone."""
    source = example(name="sales", path=box)
    items = list(source.items())
    assert [item.path for item in items] == ["000000.eml", "000001.eml", "000002.eml"]
    for item, got in source.read_many(items, 2):
        assert isinstance(got, Content)
        assert f"Message {item.id}".encode() in b"".join(got.chunks)
        assert got.etag == item.etag


def test_example_fails_clearly(example: Any, box: Path, tmp_path: Path) -> None:
    """A missing message is the item's failure, a missing mailbox the job's."""
    source = example(path=box)
    ((item, got),) = source.read_many([Item("9", "000009.eml")], 1)
    failure = source.classify(got, item)
    assert failure is not None
    assert (failure.code, failure.message) == (
        "not_found",
        f"The mailbox has no such message. [mbox://{box}/000009.eml]",
    )
    gone = example(path=tmp_path / "none")
    with pytest.raises(mailbox.Error) as caught:
        list(gone.items())
    job = gone.classify(caught.value)
    assert job is not None
    assert job.code == "not_found"
