"""Finding the data source that a user names by a URL, a path or the name of a saved block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from inspect import isabstract
from typing import Any, Final, Literal, NoReturn

from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import ObjectNotFound
from prefect.plugins import load_prefect_collections

from prefect_collect.blocks.data_source import DataSource, SavedBlocks, checked_name
from prefect_collect.blocks.kinds import class_of, inside_class
from prefect_collect.errors import InvalidLocation, SourceNotFound
from prefect_collect.storable import require_storable
from prefect_collect.stores.addresses import (
    BUCKET_URLS,
    INSIDE,
    listed,
    meant_block,
    meant_url,
    require_unsigned,
    scheme_names,
    shown,
)
from prefect_collect.stores.nearest_path import nearest_path

_OF_S3: Final = ("region", "request_payer", "versions")
"""The options that only S3 has, of all object stores."""

_GOES_WITH: Final = {
    "endpoint_url": listed(scheme_names()),
    "region": "s3://",
    "anonymous": listed(scheme_names()),
    "request_payer": "s3://",
    "versions": "s3://",
    "follow_symlinks": "a folder",
    "allow_private": "urls://",
}

_KINDS: Final = "`prefect-collect sources` lists the saved sources, and what else can be named."


def source_from(
    location: str,
    *,
    name: str | None = None,
    endpoint_url: str | None = None,
    region: str | None = None,
    anonymous: bool = False,
    request_payer: bool = False,
    versions: Literal["current", "all"] = "current",
    follow_symlinks: bool = False,
    allow_private: bool = False,
) -> DataSource:
    """Return the data source at a location. Prefect's server is used only if no URL and no path fits.

    Args:
        location: A URL (``s3://``, ``gs://``, ``az://``, ``imaps://``, ``sftp://``, ``webdavs://``, ``postgresql://``,
            ``mysql://``, ``mariadb://``, ``sqlite://``, ``urls://``, or one that another package adds), the path of a
            folder or file, or a saved block, as ``file-source/docs`` or by its name alone. A saved block has its own
            options: of the following it accepts only `name`. Before a folder, a file or a bucket, ``mbox:`` and
            its like (`INSIDE`) say what to look for inside the files.
        name: The source's name; by default it is made from the location.
        endpoint_url: The address of another server, for a URL.
        region: The bucket's region, for ``s3://``.
        anonymous: Send unsigned requests, for a URL.
        request_payer: Pay for the requests, for ``s3://``.
        versions: "all": collect every version of each object, for ``s3://``.
        follow_symlinks: Collect the targets of symbolic links, for a folder or ``sftp://``.
        allow_private: Allow private, loopback and link-local addresses, for ``urls://``.

    Raises:
        InvalidLocation: The URL cannot be used, or the location does not accept an option.
        SourceNotFound: There is no such path or saved block.
    """
    naming: dict[str, Any] = {"name": name} if name else {}
    kind, is_inside, rest = location.partition(":")
    if is_inside and kind in INSIDE:
        holder = source_from(
            rest,
            endpoint_url=endpoint_url,
            region=region,
            anonymous=anonymous,
            request_payer=request_payer,
            follow_symlinks=follow_symlinks,
        )
        return inside_source(kind, holder, naming)
    options: dict[str, Any] = {
        "endpoint_url": endpoint_url,
        "region": region,
        "anonymous": anonymous,
        "request_payer": request_payer,
        "versions": None if versions == "current" else versions,
        "follow_symlinks": follow_symlinks,
        "allow_private": allow_private,
    }
    given = {option: value for option, value in options.items() if value not in (None, False)}
    scheme, is_url, rest = location.partition("://")
    if is_url and scheme != "file":
        return source_at(location, {**given, **naming})
    location = rest if is_url else location
    for option in [option for option in given if option != "follow_symlinks"]:
        _refuse(option, given[option])
    if location and os.path.lexists(os.path.expanduser(location)):
        from prefect_collect.blocks.file_source import FileSource

        return FileSource.model_validate({"root": location, "follow_symlinks": follow_symlinks, **naming})
    if follow_symlinks:
        _refuse("follow_symlinks", follow_symlinks, "an existing folder")
    source = _saved(location)
    return source.model_copy(update={"name": checked_name(name)}) if name else source


def require_there(location: str, why: str = "") -> None:
    """Raise SourceNotFound, as `source_from` does, if the location is a local path at which there is nothing.

    `why` says that it is no saved block either. Raise InvalidLocation if no saved block can have it as its name.
    """
    kind, is_inside, rest = location.partition(":")
    if is_inside and kind in INSIDE:
        require_there(rest, why)
        return
    path = location.removeprefix("file://")
    if "://" not in path and not os.path.lexists(os.path.expanduser(path)):
        require_storable(path, "source", InvalidLocation)
        raise _not_found(path, why)


def source_at(url: str, fields: Mapping[str, Any]) -> DataSource:
    """Return the source at a URL. Raise InvalidLocation if such sources do not have one of the fields."""
    block, scheme = class_of(url), url.partition("://")[0]
    for field, value in fields.items():
        if field not in block.model_fields or (field in _OF_S3 and scheme in BUCKET_URLS and scheme != "s3"):
            _refuse(field, value)
    return block.from_url(url, **fields)


def saved_fields(location: str) -> Mapping[str, SavedBlocks]:
    """Return the saved blocks that fill fields of a new source at a location, by the field; none if it is a path.

    Raises:
        InvalidLocation: No installed source has such URLs.
    """
    kind, is_inside, rest = location.partition(":")
    if is_inside and kind in INSIDE:
        return saved_fields(rest)
    return class_of(location).takes_saved(location) if "://" in location else {}


def inside_source(kind: str, holder: DataSource, naming: dict[str, Any]) -> DataSource:
    """Return the source of what lies inside the files of another. Raise InvalidLocation if that is no source of files.

    Args:
        kind: A key of `INSIDE`.
        holder: The source of the files.
        naming: The source's own name, as the field `name`; empty to have one made.
    """
    from prefect_collect.blocks.file_source import FileSource
    from prefect_collect.blocks.object_store_source import ObjectStoreSource

    if not isinstance(holder, FileSource | ObjectStoreSource):
        places = listed(["a folder", "a file", *scheme_names()], "or")
        raise InvalidLocation(f"{kind}: goes before {places}. [source={kind}:{shown(holder.location())}]")
    return inside_class(kind).model_validate({"inside": holder, **naming})


def source_types() -> list[type[DataSource]]:
    """Return the classes of all data sources that are installed, also those of other packages, by their slugs."""
    load_prefect_collections()
    kinds = {kind.get_block_type_slug(): kind for kind in _kinds(DataSource)}  # type: ignore[type-abstract]
    return [kinds[slug] for slug in sorted(kinds)]


def _refuse(option: str, value: object, goes_with: str = "") -> NoReturn:
    """Raise InvalidLocation for an option that the location does not accept."""
    raise InvalidLocation(
        f"{option} goes with {goes_with or _GOES_WITH[option]} only; a saved block has its own. "
        f"[{option}={shown(str(value))}]"
    )


def _saved(location: str) -> DataSource:
    require_unsigned(location, "source")
    require_storable(location, "source", InvalidLocation)
    slug, has_slug, document = location.rpartition("/")
    if (
        not location
        or location.startswith((".", "/", "~"))
        or ":" in location
        or "/" in slug
        or (has_slug and not (slug and document))
    ):
        raise _not_found(location)
    kinds = source_types()  # so that DataSource knows all its subclasses
    slugs = [slug] if has_slug else [kind.get_block_type_slug() for kind in kinds]
    others = []
    with get_client(sync_client=True) as client:
        for candidate in slugs:
            block = _load(client, candidate, document)
            if isinstance(block, DataSource):
                return block
            if block is not None:
                others.append(f"{candidate}/{document} is a {type(block).__name__}, not a data source")
    raise _not_found(location, "; ".join(others) or "no data source is saved by that name in Prefect")


def _load(client: SyncPrefectClient, slug: str, document: str) -> Block | None:
    try:
        found = client.read_block_document_by_name(document, block_type_slug=slug)
    except ObjectNotFound:
        return None
    return Block._from_block_document(found)


def _kinds(base: type[DataSource]) -> Iterator[type[DataSource]]:
    for kind in base.__subclasses__():
        if not isabstract(kind):
            yield kind
        yield from _kinds(kind)


def _shown_path(location: str) -> str:
    """Return the absolute path; a location with ":" is shortened, as it may be a URL with a password but no scheme."""
    return shown(location) if ":" in location else os.path.abspath(os.path.expanduser(location))


def _meant(location: str) -> str:
    """Return the question whether a location was meant as a URL or as another type of block; "" if it was not."""
    meant = meant_url(location)
    if not meant and "/" in location:
        meant = meant_block(location, lambda: [kind.get_block_type_slug() for kind in source_types()])
        meant = "" if meant == location else meant
    return f"Did you mean {meant}?" if meant else ""


def _no_such_kind(location: str) -> str:
    """Return what can be written before a location, if a word that cannot be is; else ""."""
    word, colon, rest = location.partition(":")
    if not colon or len(word) < 2 or not word.isalpha() or "@" in location or rest[:1].isdigit():
        return ""
    kinds = listed([f"{kind}:" for kind in INSIDE], "or")
    return f"Nothing is called {word}: before a location; what lies inside files is written {kinds} before it."


def _not_found(location: str, why: str = "") -> SourceNotFound:
    """Return the error of a location at which there is no source; `why` says that no saved block is one."""
    if not location:
        return SourceNotFound(f"The source is empty; {_KINDS} [source='']")
    reasons = f"There is no file or folder {_shown_path(location)}{f', and {why}' if why else ''}."
    near = _meant(location) or ("" if ":" in location else nearest_path(location))
    near = "" if why and "Did you mean" not in near else near  # it may just as well have been meant as a saved block
    near = near or _no_such_kind(location)
    hint = f"{near} {_KINDS[:1].upper()}{_KINDS[1:]}" if near else f"Correct it; {_KINDS}"
    return SourceNotFound(f"{reasons} {hint} [source={shown(location) if ':' in location else location}]")
