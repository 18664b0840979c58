"""Write the tables of docs/events.md from the code: `python -m tools.events_page`.

Run it after a change of the statuses or of the automations.
"""

from __future__ import annotations

from pathlib import Path

from prefect_collect.deployments._automations import ready_automations
from prefect_collect.runs.events import EVENTS, SKIPPED
from prefect_collect.statuses import JobKind, JobStatus, definition

PAGE = Path(__file__).parents[1] / "docs" / "events.md"
BEGIN, END = "<!-- made by tools/events_page.py: {} -->", "<!-- end -->"


def filled(page: str) -> str:
    """Return the page with its tables written anew."""
    for name, rows in {"events": _events(), "automations": _automations()}.items():
        before, _, rest = page.partition(BEGIN.format(name))
        _, _, after = rest.partition(END)
        page = "\n".join([f"{before}{BEGIN.format(name)}", "", *rows, "", f"{END}{after}"])
    return page


def _events() -> list[str]:
    rows = [f"| `{event}` | {status} | {_meaning(kind, status)} |" for (kind, status), event in EVENTS.items()]
    return ["| event | status | when |", "| --- | --- | --- |", *rows]


def _meaning(kind: JobKind, status: object) -> str:
    if status is SKIPPED:
        return "The job was not run on purpose: its data source is suspended or archived. Its status is Canceled."
    return definition(kind, JobStatus(str(status)))


def _automations() -> list[str]:
    rows = [
        f"| {each['name']} | {_expected(each['trigger'])} | {each['description']} |" for each in ready_automations()
    ]
    return ["| automation | acts on | why |", "| --- | --- | --- |", *rows]


def _expected(trigger: dict[str, object]) -> str:
    expected, after = trigger["expect"], trigger.get("after")
    assert isinstance(expected, list)
    events = ", ".join(f"`{event}`" for event in expected)
    return f"no {events} for 10 minutes after `prefect.flow-run.heartbeat`" if after else events


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
