"""The kinds of data sources that are installed, also broken ones of other packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from prefect_collect.blocks import FileSource, source_from
from prefect_collect.blocks import kinds as kinds_module
from prefect_collect.blocks.data_source import SECRETS, DataSource, SavedBlocks
from prefect_collect.blocks.kinds import GROUP, class_of, kinds
from prefect_collect.blocks.locate import saved_fields
from prefect_collect.errors import InvalidLocation, SourceNotFound
from prefect_collect.stores.addresses import INSIDE, SOURCE_URLS

MODULE = '''
from prefect_collect import DataSource


class Good(DataSource):
    """Things `of` another package.

    More.
    """

    url: str
    follow_symlinks: bool = False

    def items(self): ...

    def open(self, item): ...

    @classmethod
    def lacks(cls):
        return "Install what it needs."


class Raising(Good):
    @classmethod
    def lacks(cls):
        raise ZeroDivisionError("oops")


class NoSource:
    pass
'''


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another package is installed, whose entry points lead to a source, to none, and to a module that breaks."""
    name = f"other_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("import no_such_module_anywhere")
    info = tmp_path / f"{name}-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3\n")
    entries = {
        "raising": f"{name}:Raising",
        "good": f"{name}:Good",
        "none": f"{name}:NoSource",
        "broken": f"{name}_broken:X",
        "s3": f"{name}:Good",
    }
    lines = "\n".join(f"{scheme} = {value}" for scheme, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_own_kinds() -> None:
    """Every URL that the documentation names leads to a kind, and each kind says what it collects."""
    found = [*kinds()]
    assert {url for kind in found for url in kind.urls} >= set(SOURCE_URLS.values())
    assert all(kind.summary.endswith(".") and kind.package.startswith("prefect-collect ") for kind in found)


def test_each_kind_has_its_schemes_and_no_others() -> None:
    """A kind takes the URLs of all its schemes, and refuses those of others; so every place knows the same schemes."""
    of_kind: dict[type[DataSource], list[str]] = {}
    for scheme in kinds_module._OWN:
        of_kind.setdefault(class_of(f"{scheme}://"), []).append(scheme)
    written = {scheme: f"{scheme}://host/list.jsonl" for scheme in ("urls+https", "urls+http")} | SOURCE_URLS
    for schemes in of_kind.values():
        if known := [scheme for scheme in schemes if scheme in SOURCE_URLS]:
            rest = SOURCE_URLS[known[0]].partition("://")[2]
            written = {scheme: f"{scheme}://{rest}" for scheme in schemes} | written
    assert written.keys() == kinds_module._OWN.keys() - {"file"}
    for kind, schemes in of_kind.items():
        for scheme, url in written.items():
            if scheme in schemes:
                assert isinstance(kind.from_url(url, name="x"), kind)
            elif kind is not FileSource:
                with pytest.raises(InvalidLocation):
                    kind.from_url(url, name="x")


def test_another_package(other: str) -> None:
    """A URL of its scheme gives its source, with the options that it has; another option is refused."""
    source = source_from("good://place", name="mine", follow_symlinks=True)
    assert (type(source).__name__, source.name, source.follow_symlinks) == ("Good", "mine", True)  # type: ignore[attr-defined]
    with pytest.raises(InvalidLocation, match="region goes with s3:// only"):
        source_from("good://place", region="eu")


def test_broken_packages(other: str) -> None:
    """They are listed with what is wrong, use of them says so, and the scheme of another source stays its own."""
    found = {kind.name: kind for kind in kinds() if kind.package == f"{other} 3"}
    assert set(found) == {"Good", "Raising", "none", "broken", "s3"}
    assert (found["Good"].summary, found["Good"].problem) == ("Things of another package.", "Install what it needs.")
    assert found["Raising"].problem == "ZeroDivisionError in its `lacks`: oops."
    for name, why in {
        "none": f"{other}:NoSource is not a subclass of DataSource",
        "broken": "The source cannot be imported: ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        "s3": "The scheme is one of prefect-collect's own",
    }.items():
        assert why in found[name].problem
    with pytest.raises(InvalidLocation, match="cannot be imported"):
        class_of("broken://place")
    assert class_of("s3://bucket").__name__ == "ObjectStoreSource"


def test_a_scheme_that_is_not_installed(other: str) -> None:
    """The message names the schemes that are there, and shows no password of the URL."""
    with pytest.raises(InvalidLocation, match=r"imaps://.* good://.*sources") as refused:
        source_from("ftp://user:secret@host/x")
    assert "secret" not in str(refused.value)


def test_two_packages_with_one_scheme(other: str, tmp_path: Path) -> None:
    """Neither is taken silently: both are listed with the problem, and their URLs are refused."""
    info = tmp_path / "rival-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\ngood = {other}:Raising\n")
    problems = [kind.problem for kind in kinds() if kind.urls == ("good://…",)]
    assert len(problems) == 2
    assert all("Several packages have sources of this scheme" in problem for problem in problems)
    with pytest.raises(InvalidLocation, match="Several packages"):
        source_from("good://x")


S3 = SavedBlocks(("aws-credentials", "minio-credentials"))


@pytest.mark.parametrize(
    ("location", "fields"),
    [
        ("", {}), ("/srv/docs", {}), ("mbox:/srv/mail", {}), ("sqlite:////srv/a.db", {}),
        ("s3://bucket/x", {"credentials": S3}), ("vault:s3://bucket/x", {"credentials": S3}),
        ("gs://b", {"credentials_block": SavedBlocks(("gcp-credentials",), by_name=True), "secret": SECRETS}),
        ("az://c", {"credentials_block": SavedBlocks(("azure-blob-storage-credentials",), by_name=True),
                    "secret": SECRETS}),
        ("sftp://ann@host/x", dict.fromkeys(["private_key", "password"], SECRETS)),
        ("imaps://ann@host", dict.fromkeys(["password", "token"], SECRETS)),
        ("webdavs://ann@host/x", dict.fromkeys(["password", "token"], SECRETS)),
        ("postgresql://ann@host/db", {"password": SECRETS}),
        ("urls:///srv/list.jsonl", {"headers": SECRETS}),
        ("urls+https://host/list", dict.fromkeys(["url_query", "headers"], SECRETS)),
        ("rclone://drive/x", {"config": SECRETS}),
    ],
)  # fmt: skip
def test_the_saved_blocks_that_a_kind_takes(location: str, fields: dict[str, SavedBlocks]) -> None:
    """Each kind says which of its fields a saved block fills: its class for S3, gs:// and az://, else its secrets."""
    assert saved_fields(location) == fields
    with pytest.raises(InvalidLocation, match="No installed source"):
        saved_fields("ftp://host/x")


@pytest.mark.parametrize(("location", "word"), [("zip:zips", "zip"), ("mbox:pst:mail", "pst"), ("Mbox:/srv/x", "Mbox")])
def test_a_word_before_a_location_that_is_none_of_the_kinds(location: str, word: str) -> None:
    """The message names the kinds of what lies inside files, all that there are."""
    with pytest.raises(SourceNotFound, match=f"Nothing is called {word}: before a location") as caught:
        source_from(location)
    assert all(f"{kind}:" in str(caught.value) for kind in INSIDE)


@pytest.mark.parametrize("location", ["C:/x", "host:22/x", "ann:secret@host/x", "/srv/a:b", "s3:bucket"])
def test_a_colon_that_no_kind_has(location: str) -> None:
    """A drive, a port, a user, a path and a URL without slashes are not taken for a kind that is mistyped."""
    with pytest.raises(SourceNotFound) as caught:
        source_from(location)
    assert "Nothing is called" not in str(caught.value)
