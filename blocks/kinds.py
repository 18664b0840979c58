"""The kinds of data sources that are installed, by the schemes of their URLs.

Another package adds a kind with an entry point of the group ``prefect_collect.sources``: its name is the scheme of the
URLs, its value the subclass of `DataSource`. Entry points: https://packaging.python.org/specifications/entry-points/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points, version
from typing import Final

from prefect_collect.blocks.data_source import DataSource
from prefect_collect.errors import InvalidLocation
from prefect_collect.escaping import one_line
from prefect_collect.stores.addresses import INSIDE, SOURCE_URLS, listed, require_unsigned, scheme_names, shown

GROUP: Final = "prefect_collect.sources"
"""The group of entry points by which other packages add kinds of sources."""

_OWN: Final = {
    "file": ("file_source", "FileSource"),
    "s3": ("object_store_source", "ObjectStoreSource"),
    "gs": ("object_store_source", "ObjectStoreSource"),
    "az": ("object_store_source", "ObjectStoreSource"),
    "sftp": ("sftp_source", "SftpSource"),
    "imaps": ("imap_source", "ImapSource"),
    "imap": ("imap_source", "ImapSource"),
    "webdavs": ("webdav_source", "WebDavSource"),
    "webdav": ("webdav_source", "WebDavSource"),
    "davs": ("webdav_source", "WebDavSource"),
    "dav": ("webdav_source", "WebDavSource"),
    "postgresql": ("sql_source", "SqlSource"),
    "postgres": ("sql_source", "SqlSource"),
    "mysql": ("sql_source", "SqlSource"),
    "mariadb": ("sql_source", "SqlSource"),
    "sqlite": ("sql_source", "SqlSource"),
    "rclone": ("rclone_source", "RcloneSource"),
    "urls": ("http_list_source", "HttpListSource"),
    "urls+https": ("http_list_source", "HttpListSource"),
    "urls+http": ("http_list_source", "HttpListSource"),
}
"""The module and the class of the kinds of this package, by scheme; its schemes cannot be taken by another package."""

_INSIDE: Final = {
    "mbox": ("mbox_source", "MboxSource"),
    "vault": ("vault_export_source", "VaultExportSource"),
    "slack": ("slack_export_source", "SlackExportSource"),
    "purview": ("purview_export_source", "PurviewExportSource"),
}
"""The module and the class of the kinds of what lies inside files (`INSIDE`), by what is written before a location."""

_URLS: Final = {"file": "a folder or file", **SOURCE_URLS}


_PLAIN: Final = ("imap", "webdav")
"""The schemes without TLS of kinds that `SOURCE_URLS` has with TLS."""


@dataclass(frozen=True)
class Kind:
    """A kind of data source.

    Attributes:
        name: The name of its class, or of the entry point if there is no class.
        urls: How its locations are written.
        summary: What it collects, in a sentence.
        package: The package that brings it, with its version.
        problem: What of it cannot be used on this machine and why, and what to do; "" if all of it can.
    """

    name: str
    urls: tuple[str, ...]
    summary: str
    package: str
    problem: str = ""


def class_of(url: str) -> type[DataSource]:
    """Return the class of the sources at URLs of that scheme.

    Raises:
        InvalidLocation: No installed source has such URLs, or its class cannot be imported.
    """
    scheme = url.partition("://")[0]
    if scheme in _OWN:
        return _own(scheme)
    entries = _entries()
    for entry in entries:
        if entry.name == scheme:
            return _loaded(entry, entries)
    require_unsigned(url, "source")
    named = dict.fromkeys([*SOURCE_URLS, *_PLAIN, *(entry.name for entry in entries)])
    begin = f"a URL must begin with {listed(scheme_names(named), 'or')}"
    begin += f", and before a folder, file or bucket may stand {listed([f'{kind}:' for kind in INSIDE], 'or')}"
    meant = _meant(url, scheme)
    raise InvalidLocation(
        f"No installed source has URLs of that kind; {meant or begin}. `prefect-collect "
        f"sources` lists what is installed. [url={shown(url)}]"
    )


def _meant(url: str, scheme: str) -> str:
    """Return how a URL of a scheme that no source has may have been meant; "" if that is not known."""
    if scheme.lower() in _OWN:
        return f"write {scheme.lower()}:// in small letters"
    if scheme in ("http", "https"):
        dav = "webdavs" if scheme == "https" else "webdav"
        return (
            "web addresses are collected by a list of them (urls:///path/list.jsonl), and folders on a WebDAV server "
            f"as {dav}://…"
        )
    return ""


def inside_class(kind: str) -> type[DataSource]:
    """Return the class of the sources of what lies inside files; `kind` is a key of `INSIDE`."""
    return _class(*_INSIDE[kind])


def load_others() -> None:
    """Import the sources of other packages, so that `DataSource` knows them; leave out those that cannot be used."""
    entries = _entries()
    for entry in entries:
        with suppress(InvalidLocation):
            _loaded(entry, entries)


def kinds() -> Iterator[Kind]:
    """Yield all kinds of sources: those of this package, then those that other packages add, by their entry points."""
    package = f"prefect-collect {version('prefect-collect')}"
    for kind in dict.fromkeys(map(_own, _OWN)):
        urls = tuple(_URLS[scheme] for scheme in _OWN if _own(scheme) is kind and scheme in _URLS)
        yield Kind(kind.__name__, urls, _summary(kind), package, kind.lacks())
    for name in _INSIDE:
        inside = inside_class(name)
        yield Kind(inside.__name__, (f"{name}: before a folder, file or bucket",), _summary(inside), package)
    entries = _entries()
    for entry in entries:
        dist = entry.dist
        origin = f"{dist.name} {dist.version}" if dist is not None else "unknown"
        urls = (f"{entry.name}://…",)
        try:
            kind = _loaded(entry, entries)
        except InvalidLocation as error:
            yield Kind(entry.name, urls, "", origin, str(error))
        else:
            yield Kind(kind.__name__, urls, _summary(kind), origin, _lacks(kind))


def _lacks(kind: type[DataSource]) -> str:
    try:
        return kind.lacks()
    except Exception as error:  # whatever another package does
        return f"{type(error).__name__} in its `lacks`: {one_line(str(error))}."


def _own(scheme: str) -> type[DataSource]:
    return _class(*_OWN[scheme])


def _class(module: str, name: str) -> type[DataSource]:
    found: type[DataSource] = getattr(import_module(f"prefect_collect.blocks.{module}"), name)
    return found


def _entries() -> list[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


def _loaded(entry: EntryPoint, entries: Iterable[EntryPoint]) -> type[DataSource]:
    """Return the class of an entry point. Raise InvalidLocation if there is none, or the scheme is taken.

    `entries` are all that there are: to find them, the metadata of every installed package is read.
    """
    if entry.name in _OWN:
        raise InvalidLocation(f"The scheme is one of prefect-collect's own; choose another. [{GROUP}={entry.name}]")
    if len(rivals := [other.value for other in entries if other.name == entry.name]) > 1:
        raise InvalidLocation(
            f"Several packages have sources of this scheme ({', '.join(rivals)}); remove all but one. "
            f"[{GROUP}={entry.name}]"
        )
    try:
        found = entry.load()
    except Exception as error:  # whatever the other package does when it is imported
        raise InvalidLocation(
            f"The source cannot be imported: {type(error).__name__}: {one_line(str(error))}; repair or remove its "
            f"package. [{GROUP}={entry.name}]"
        ) from error
    if not (isinstance(found, type) and issubclass(found, DataSource)):
        raise InvalidLocation(f"{entry.value} is not a subclass of DataSource. [{GROUP}={entry.name}]")
    return found


def _summary(kind: type[DataSource]) -> str:
    return one_line((kind.__doc__ or "").strip().partition("\n")[0].replace("`", ""))
