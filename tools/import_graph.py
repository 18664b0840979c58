"""Print the rooms of prefect_collect with their floors, the imports between them, cycles, and private imports.

    python -m tools.import_graph

A room is a folder or a loose module. Its floor is one above the highest room that it imports; rooms of a cycle share a
floor. Imports within functions and imports for type checkers count too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import grimp

PACKAGE = "prefect_collect"


def room_of(module: str) -> str:
    """Return the room that a module lies in; the package itself is the room ``(package)``."""
    return module.split(".")[1] if "." in module else "(package)"


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of nodes that import each other, directly or not (Tarjan's strongly connected components)."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            cut = stack.index(node)
            group, stack[cut:] = stack[cut:], []
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def floors(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """Return the floor of each node, from 1."""
    group_of = {node: tuple(group) for group in circles(graph) for node in group}
    known: dict[tuple[str, ...], int] = {}

    def floor(group: tuple[str, ...]) -> int:
        if group not in known:
            below = {group_of.get(other, (other,)) for node in group for other in graph[node]} - {group}
            known[group] = 1 + max((floor(other) for other in below), default=0)
        return known[group]

    return {node: floor(group_of.get(node, (node,))) for node in graph}


def merged(imports: Iterable[tuple[str, str]], name_of: Callable[[str], str]) -> dict[str, set[str]]:
    """Return the graph of the imports, with each module replaced by its name from `name_of`."""
    graph: dict[str, set[str]] = defaultdict(set)
    for importer, imported in imports:
        one, other = name_of(importer), name_of(imported)
        graph[other] |= set()
        graph[one] |= {other} - {one}
    return dict(graph)


def private_imports(imports: Iterable[tuple[str, str]], packages: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the imports of a private module from outside of its folder."""
    for importer, imported in imports:
        home = importer if importer in packages else importer.rpartition(".")[0]
        parts = imported.split(".")
        for number, part in enumerate(parts):
            if part.startswith("_") and not part.startswith("__") and home != ".".join(parts[:number]):
                yield importer, imported
                break


def main() -> None:
    """Print the rooms, their imports, the cycles and the number of private imports."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False, cache_dir=None)
    imports = [(one, other) for one in sorted(graph.modules) for other in graph.find_modules_directly_imported_by(one)]
    packages = {module for module in graph.modules if graph.find_children(module)}
    rooms = merged([pair for pair in imports if PACKAGE not in pair], room_of)
    sizes: dict[str, int] = defaultdict(int)
    for module in graph.modules:
        sizes[room_of(module)] += 1
    level = floors(rooms)
    print(f"{len(graph.modules)} modules in {len(rooms)} rooms on {max(level.values())} floors")
    for room in sorted(rooms, key=lambda room: (-level[room], room)):
        print(f"{level[room]:>3}  {room} ({sizes[room]}) imports {', '.join(sorted(rooms[room])) or 'nothing'}")
    for title, found in ("circles of rooms", circles(rooms)), ("circles of modules", circles(merged(imports, str))):
        print(f"{title}: {len(found)}")
        for group in found:
            print(f"  {' '.join(group)}")
    private = list(private_imports(imports, packages))
    print(f"private modules imported from another folder: {len({other for _, other in private})}")


if __name__ == "__main__":
    main()
