"""The row of `serve`: how long a new user waits until Prefect's UI answers."""

from __future__ import annotations

import os
import statistics
import time
from functools import partial

from benchmarks.context import Bench
from benchmarks.data import remove
from benchmarks.limits import Limit
from benchmarks.measure import say
from benchmarks.servers import Server, answers, cpu_seconds, find_program, free_ports


def serve_start(bench: Bench) -> list[Limit]:
    """Measure `serve` in an empty PREFECT_HOME: until Prefect's UI answers, and until the console does."""
    ui, console, cpu = [], [], []
    for number in range(bench.rounds):
        home = bench.scratch(f"serve-{number}")
        ports = free_ports(2)
        words = ["serve", "--port", str(ports[0]), "--console-port", str(ports[1])]
        env = {
            "PREFECT_HOME": str(home),
            "DO_NOT_TRACK": "1",
            "PREFECT_INTEGRATIONS_COLLECT_STORE": str(home / "store"),
        }
        bench.settle()
        began = time.perf_counter()
        server = Server("serve", [find_program("prefect-collect", "."), *words], bench.log("serve"), env)
        try:
            server.wait_until(partial(answers, f"http://127.0.0.1:{ports[0]}/"), 180)
            ui.append(time.perf_counter() - began)
            server.wait_until(partial(answers, f"http://127.0.0.1:{ports[1]}/"), 180)
            console.append(time.perf_counter() - began)
            cpu.append(sum(cpu_seconds(pid) for pid in _group(server.pid)))
        finally:
            server.stop()
            remove(home)
        say(f"    UI {ui[-1]:.1f} s, console {console[-1]:.1f} s, CPU {cpu[-1]:.1f} s")
    note = f"CPU {statistics.median(cpu):.1f} s until the console answers"
    return [
        Limit("serve, until Prefect's UI answers", statistics.median(ui), "s", 12.0, note),
        Limit("serve, until the console answers", statistics.median(console), "s"),
    ]


def _group(pid: int) -> list[int]:
    """Return the processes of a server's group that run."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getpgid(int(name)) == pid:
                    found.append(int(name))
            except ProcessLookupError:
                continue
    return found
