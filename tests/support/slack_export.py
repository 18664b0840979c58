"""A small export of Slack, written as https://slack.com/help/articles/220556107 describes it."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

LINK = "https://files.slack.com/files-pri/T1-F1/plan.pdf"


def day(*times: float) -> list[dict[str, Any]]:
    """Return messages of these times; the first shares two files, one of which was deleted."""
    messages: list[dict[str, Any]] = [
        {"type": "message", "user": f"U{1 + number % 2}", "text": "hello ü", "ts": f"{at:.6f}"}
        for number, at in enumerate(times)
    ]
    messages[0]["files"] = [
        {"id": "F1", "name": "plan.pdf", "url_private": f"{LINK}?t=xoxe-secret", "mode": "hosted"},
        {"id": "F2", "name": "old.pdf", "mode": "tombstone", "permalink": "https://drive.google.com/d/CAPABILITY/edit"},
    ]
    return messages


def slack_files() -> dict[str, bytes]:
    """Return the files of an export."""
    users = [
        {"id": "U1", "name": "ann", "profile": {"real_name": "Ann Ä"}},
        {"id": "U2", "name": "bob", "profile": {"real_name": ""}},
    ]
    content: dict[str, Any] = {
        "users.json": users,
        "channels.json": [
            {"id": "C1", "name": "general", "members": ["U1", "U2"]},
            {"id": "C2", "name": "silent", "members": []},
        ],
        "groups.json": [{"id": "G1", "name": "board", "members": ["U1"]}],
        "dms.json": [{"id": "D1", "members": ["U1", "U2"]}],
        "mpims.json": [{"id": "M1", "name": "mpdm-ann--bob-1", "members": ["U1", "U2"]}],
        "canvases.json": [{"id": "F9", "title": "Plan", "permalink": "https://x.slack.com/docs/F9"}],
        "general/2024-01-31.json": day(1706695200.0, 1706698800.5, 1706691600.0),
        "board/2024-02-01.json": day(1706781600.0),
        "D1/2024-02-01.json": day(1706781600.0),
        "mpdm-ann--bob-1/2024-02-01.json": day(1706781600.0),
    }
    return {name: json.dumps(value, indent=4, ensure_ascii=False).encode() for name, value in content.items()}


def write_slack_export(folder: Path) -> None:
    """Write the ZIP file of an export."""
    with zipfile.ZipFile(folder / "Slack export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in slack_files().items():
            archive.writestr(name, data)


def write_days(folder: Path, *, channels: int, days: int) -> None:
    """Write the ZIP file of an export of channels in which three messages were sent on each of so many days."""
    first = datetime(2020, 1, 1, 12, tzinfo=UTC)
    users = [{"id": f"U{number}", "name": name, "profile": {}} for number, name in enumerate(("ann", "bob"), 1)]
    rooms = [{"id": f"C{number}", "name": f"room-{number}", "members": ["U1", "U2"]} for number in range(channels)]
    with zipfile.ZipFile(folder / "Slack export.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("users.json", json.dumps(users))
        archive.writestr("channels.json", json.dumps(rooms))
        for at in (first + timedelta(days=number) for number in range(days)):
            messages = day(*(at.timestamp() + second for second in range(3)))
            del messages[0]["files"]
            text = json.dumps(messages)
            for room in rooms:
                archive.writestr(f"{room['name']}/{at:%Y-%m-%d}.json", text)
