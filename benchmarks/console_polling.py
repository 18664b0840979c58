"""What browsers that watch the console cost a collection: the same job with and without 20 of them, in pairs.

The browsers are threads of the harness that ask what the pages' htmx asks, each with a session and a connection of its
own: the table of jobs and the side sheet of the newest job every 2 s, its curve every 4 s, or as much later as the
console tells them, with the digest of what they show. They draw nothing; real browsers draw on other machines.
"""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, RemoteDisconnected
from typing import Any, Final
from urllib.parse import urlencode

from benchmarks.context import Bench, all_of
from benchmarks.data import DataSet, remove
from benchmarks.limits import Limit
from benchmarks.measure import say
from benchmarks.servers import Server, cpu_seconds, find_program, free_ports

BROWSERS: Final = 20
_EVERY: Final = 2.0
_LAST: Final = 286
"""The status of the last answer to a poll (htmx)."""

_TOKEN: Final = "a-token-of-the-benchmark"
_JOB: Final = re.compile(r'id="open-([0-9a-f-]{36})"')


class Console(Server):
    """`prefect-collect console` over the benchmarks' Prefect server."""

    def __init__(self, bench: Bench) -> None:
        self.port = free_ports(1)[0]
        tokens = bench.work / "tokens"
        tokens.write_text(f"operate bench {_TOKEN}\n")
        tokens.chmod(0o600)
        argv = [find_program("prefect-collect", "."), "console", "--port", str(self.port), "--token-file", str(tokens)]
        super().__init__("console", argv, bench.log("console"), _environment(bench))
        self.wait_until(lambda: "Console: " in self.log.read_text(errors="replace"), 120)


def _environment(bench: Bench) -> dict[str, str]:
    return {**bench.prefect.env, "PREFECT_API_URL": bench.prefect.api_url}


@dataclass
class Asked:
    """What the browsers asked for: the number of requests, the bytes of the answers, and the seconds they took."""

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0


class Browser(threading.Thread):
    """A browser with the jobs page open, and the side sheet of the newest job."""

    def __init__(self, port: int, late: float, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.asked = Asked()
        self._port, self._late, self._over = port, late, over
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._cookie, self._job, self._is_open = "", "", False
        self._shown: dict[str, str] = {}
        self._pause = _EVERY

    def run(self) -> None:
        """Log in, and ask as the page does until it is over."""
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{self._port}"}
        self._connection.request("POST", "/login", urlencode({"token": _TOKEN}), form)
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        self._get("/", whole=True)
        looks = 0
        due = time.monotonic() + self._late
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due += self._pause
            looks += 1
            self._look_at_newest(self._get("/?"))
            if self._job and self._is_open:
                sheet = self._get(f"/jobs/{self._job}")
                self._is_open = not sheet or "every 2s" in sheet  # the sheet of a job that has ended asks no more
                if looks % 2:
                    self._get(f"/jobs/{self._job}/plot")

    def _look_at_newest(self, table: str) -> None:
        """Open the sheet of the newest job if the table shows another one than before."""
        newest = _JOB.search(table)
        if newest is not None and newest[1] != self._job:
            self._job, self._is_open = newest[1], True

    def _get(self, path: str, *, whole: bool = False) -> str:
        """Return the answer to a request; "" if what is shown is still right."""
        headers = {"Cookie": self._cookie}
        if not whole:
            headers |= {"HX-Request": "true", "X-Poll": "yes", "X-Shown": self._shown.get(path, "")}
        start = time.monotonic()
        try:
            self._connection.request("GET", path, headers=headers)
            answer = self._connection.getresponse()
        except (ConnectionError, RemoteDisconnected):  # the console closes connections that are idle, as browsers know
            self._connection.close()
            self._connection.request("GET", path, headers=headers)
            answer = self._connection.getresponse()
        content = answer.read()
        self.asked.seconds += time.monotonic() - start
        self._pause = float(answer.getheader("X-Poll-After") or _EVERY)
        self.asked.requests += 1
        self.asked.bytes += len(content)
        if answer.status not in (200, 204, _LAST):
            raise RuntimeError(f"the console answered {answer.status} to {path}: {content[:300]!r}")
        if answer.status == 200 and not whole:
            self._shown[path] = answer.getheader("X-Shown") or ""
        return content.decode(errors="replace")


@contextmanager
def browsers(port: int, number: int = BROWSERS) -> Iterator[Asked]:
    """Have so many browsers look at the console while the context lasts; yield what all of them asked, at its end."""
    over, total = threading.Event(), Asked()
    every = [Browser(port, index * _EVERY / number, over) for index in range(number)]
    for one in every:
        one.start()
    try:
        yield total
    finally:
        over.set()
        for one in every:
            one.join(60)
            total.requests += one.asked.requests
            total.bytes += one.asked.bytes
            total.seconds += one.asked.seconds


def console_polling(bench: Bench) -> list[Limit]:
    """Measure a collection of small files with and without browsers, in pairs whose order alternates."""
    data = DataSet("polled", 2_000 if bench.quick else 40_000, 512, 4096)
    root = bench.tree(data)
    worker, console = bench.worker(), Console(bench)
    bench.stack.callback(console.stop)
    prefect = bench.prefect.pid

    def collected() -> dict[str, Any]:
        store = bench.out / "polled"
        store.mkdir(parents=True)
        bench.settle()
        try:
            answer = worker.call("product.run_collection", source={"files": str(root)}, store=str(store))
            all_of(answer, data.count)
            return answer
        finally:
            remove(store)

    def watched() -> dict[str, Any]:
        with browsers(console.port) as asked:
            time.sleep(2 * _EVERY)  # until each of them has opened its pages
            before = {"console": cpu_seconds(console.pid), "prefect": cpu_seconds(prefect)}, time.monotonic()
            answer = collected()
            seconds = time.monotonic() - before[1]
            used = {"console": cpu_seconds(console.pid), "prefect": cpu_seconds(prefect)}
        shares = {name: (used[name] - before[0][name]) / seconds for name in used}
        say(
            f"  {asked.requests} requests of {asked.bytes / max(1, asked.requests):.0f} bytes and "
            f"{asked.seconds / max(1, asked.requests) * 1000:.0f} ms each; of one core: {shares}"
        )
        return {**answer, "shares": shares}

    collected()  # warms up the process
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for number in range(bench.rounds):
        first, second = (collected, watched) if number % 2 == 0 else (watched, collected)
        one, other = first(), second()
        alone, among = (one, other) if number % 2 == 0 else (other, one)
        pairs.append((alone, among))
        say(f"  alone {alone['work']:.2f} s, with {BROWSERS} browsers {among['work']:.2f} s")
    ratios = [among["work"] / alone["work"] for alone, among in pairs]
    spread = f"{min(ratios):.3f}-{max(ratios):.3f} in {len(pairs)} pairs, {pairs[0][0]['work']:.1f} s alone"
    spread += "; CPU of the job {:.1f} s, alone {:.1f} s".format(
        *(statistics.median(pair[at]["cpu"] for pair in pairs) for at in (1, 0))
    )
    cpu = statistics.median(among["shares"]["console"] for _, among in pairs) * 100
    return [
        Limit(f"{BROWSERS} browsers, {data.count:,} files", statistics.median(ratios), "times", 1.05, spread),
        Limit("CPU of the console meanwhile", cpu, "% of a core", 5),
    ]
