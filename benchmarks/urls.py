"""The rows of lists of URLs: nginx's files, near and 20 ms away, against ``curl --parallel``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from benchmarks.context import Bench, collecting
from benchmarks.data import DataSet, remove
from benchmarks.measure import Comparison, Contender, Folders
from benchmarks.peers import Command
from benchmarks.servers import Server, find_program, free_ports
from benchmarks.sftp import Delay, listens
from benchmarks.took import Took

_CONFIG: Final = """\
daemon off;
user root;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


class Nginx(Server):
    """A server of a folder's files."""

    def __init__(self, folder: Path, root: Path, log: Path) -> None:
        folder.mkdir()
        self.folder, self.port = folder, free_ports(1)[0]
        (folder / "config").write_text(_CONFIG.format(folder=folder, port=self.port, root=root))
        program = find_program("nginx", "nginx-light (from the Linux distribution)")
        super().__init__("nginx", [program, "-c", str(folder / "config")], log)
        self.wait_until(lambda: listens(self.port), 20)


def write_list(place: Path, names: list[str], port: int) -> None:
    """Write the list of files that a server of a port has."""
    with place.open("w") as file:
        for name in names:
            file.write(json.dumps({"url": f"http://127.0.0.1:{port}/{name}", "name": name}) + "\n")


def _rows(bench: Bench, title: str, data: DataSet, *, far: bool) -> Comparison:
    tree = bench.tree(data)
    server = bench.started(Nginx(bench.work / f"nginx-{len(bench.servers)}", tree, bench.log("nginx")))
    bench.stack.callback(remove, server.folder)
    port = bench.started(Delay(server.port, bench.log("delay"))).port if far else server.port
    worker, place = bench.worker(), Folders(bench.out)
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())
    lists = {False: server.folder / "list.jsonl", True: server.folder / "empty.jsonl"}
    lists[True].touch()
    write_list(lists[False], names, port)
    full, none = ({"urls": f"urls://{lists[empty]}"} for empty in (False, True))
    ours = collecting(worker, full, none, data.count)

    def curl(setting: int, where: str, empty: bool) -> Took:
        wanted = [] if empty else names
        config = server.folder / "curl"
        with config.open("w") as file:
            for name in wanted:
                file.write(f'url = "http://127.0.0.1:{port}/{name}"\noutput = "{where}/{name}"\n')
            if empty:
                file.write(f'url = "file://{lists[True]}"\noutput = "/dev/null"\n')
        flags = ["--silent", "--fail", "--create-dirs", "--parallel", "--parallel-max", str(setting)]
        command = [find_program("curl", "curl (from the Linux distribution)"), *flags, "--config", str(config)]
        return Command([command]).run(bench.log("curl"))

    sweep = (16, 64)
    peer = Contender("curl --parallel", place, curl, sweep, data.count)
    return Comparison(title, data.count, Contender("prefect-collect", place, ours, (0,)), [peer])


def urls_to_files(bench: Bench) -> Comparison:
    """Compare small files into a local store."""
    return _rows(bench, "list of URLs to local, small files", bench.small, far=False)


def urls_to_files_latency(bench: Bench) -> Comparison:
    """Compare the same over a network of 20 ms."""
    return _rows(bench, "list of URLs to local, small files, 20 ms latency", bench.fewer(5_000), far=True)
