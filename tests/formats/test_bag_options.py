"""The options of a bag: tags of the user's own, and BagIt profiles."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from prefect_collect.errors import UsageError
from prefect_collect.formats import FORMATS, require_options
from prefect_collect.formats.bag_options import WRITTEN, BagOptions, Volumes
from prefect_collect.formats.bag_planning import require_conforming
from prefect_collect.formats.bag_profile import LONGEST, read_profile
from prefect_collect.formats.bag_rules import MEDIA_TYPES

INFO = {"BagIt-Profile-Identifier": "https://example.org/p.json", "Source-Organization": "X", "Version": "1"}


def profile(**changes: Any) -> str:
    """Return a profile's text; keys have _ for - and __ for a dot."""
    keys = {key.replace("__", ".").replace("_", "-"): value for key, value in changes.items()}
    return json.dumps({"BagIt-Profile-Info": INFO, "Accept-Serialization": ["application/zip"], **keys})


def test_tags_keep_order_and_letters() -> None:
    """Tags stay in their order, also with one label twice, in any letters; the JSON form makes the same options."""
    texts = ["Source-Organization=Zoë & Co", "Notiz = a=b", "Contact-Name=一", "Contact-Name=二"]
    made = BagOptions.of({"tags": texts})
    assert made.lines == (
        ("Source-Organization", "Zoë & Co"), ("Notiz", "a=b"), ("Contact-Name", "一"), ("Contact-Name", "二"),
    )  # fmt: skip
    assert BagOptions.of(json.loads(json.dumps(made.to_json()))) == made
    assert BagOptions.of(None).to_json() == {}


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("Payload-Oxum=1.1", "Payload-Oxum is written by prefect-collect itself"),
        ("payload-OXUM=1.1", "is written by prefect-collect itself"),
        ("duplicate-items=0", "Duplicate-Items is written by prefect-collect itself"),
        ("no value", "LABEL=VALUE"),
        ("Empty=", "LABEL=VALUE"),
        ("=value", "LABEL=VALUE"),
        ("A:B=c", "no colon"),
        ("A=two\nlines", "one line"),
        ("A=two\u2028lines", "one line"),
        ("A=nul\0", "one line"),
        ("A=half \ud800", "one line"),
        ("A=" + "x" * 4001, "at most"),
        ("A" * 101 + "=x", "at most"),
    ],
)
def test_tags_that_are_refused(tag: str, said: str) -> None:
    """A tag that is written here anyway, has no value or several lines, or a colon in its label is refused in words."""
    with pytest.raises(UsageError, match=said):
        BagOptions((tag,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no BagIt-Profile-Info"),
        (json.dumps({"BagIt-Profile-Info": {}}), "no BagIt-Profile-Identifier"),
        (profile(Bag_Info=[]), "Bag-Info"),
        (profile(Bag_Info={"A": 1}), "'A'"),
        (profile(Bag_Info={"A": {"required": "yes"}}), "true or false"),
        (profile(Bag_Info={"A": {"values": "yes"}}), "list of texts"),
        (profile(Manifests_Required="md5"), "list of texts"),
        (profile(Manifests_Required=["md5"], Manifests_Allowed=["sha256"]), "lacks md5"),
        (profile(Allow_Fetch__txt=False, Fetch__txt_Required=True), "does not allow it"),
        (profile(Serialization="maybe"), "forbidden or required or optional"),
        (profile(Serialization="required", Accept_Serialization=[]), "lists none"),
        ("x" * (LONGEST + 1), "at most"),
    ],
)
def test_profiles_that_are_refused(text: str, said: str) -> None:
    """What is no profile, or contradicts itself, is refused with the place."""
    with pytest.raises(UsageError, match=said):
        read_profile(text)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"Bag_Info": {"A": {"required": True}, "B": {"required": True}}}, r"lacks the tags A, B \(.*--tag 'A=…'"),
        ({"Bag_Info": {"Custodian": {"required": True}}}, "Custodian .collect with --custodian"),
        ({"Bag_Info": {"C": {"values": ["x", "y"]}}}, "C is z, and the profile allows x, y"),
        ({"Bag_Info": {"c": {"repeatable": False}}}, "c stands 2 times"),
        ({"Bag_Info": {"External-Description": {"values": ["other"]}}}, "External-Description is docs"),
        ({"Manifests_Required": ["md5"]}, "manifest-md5.txt: the profile requires it .collect with --hash md5"),
        ({"Manifests_Required": ["SHA-512"]}, "manifest-sha512.txt: .*--sha512"),
        ({"Manifests_Allowed": ["sha1"]}, "manifest-sha256.txt: .*not allow this algorithm"),
        ({"Tag_Manifests_Required": ["sha1"]}, "tagmanifest-sha1.txt: the profile requires it"),
        ({"Tag_Files_Required": ["DPN/info.txt"]}, "DPN/info.txt: the profile requires this tag file"),
        ({"Tag_Files_Allowed": ["*.csv"]}, "items.parquet: the profile does not allow"),
        ({"Allow_Fetch__txt": True, "Fetch__txt_Required": True}, "fetch.txt: the profile requires it"),
        ({"Accept_BagIt_Version": ["0.97"]}, "it declares BagIt 1.0"),
        ({"Serialization": "forbidden"}, "requires a folder"),
        ({"Accept_Serialization": ["application/x-tar"]}, "accepts application/x-tar"),
    ],
)
def test_an_export_that_could_not_conform(rules: dict[str, Any], said: str) -> None:
    """Each rule that the bag would break is named before the export starts, with what to do where that helps."""
    bag = BagOptions(("C=z", "C=x"), profile(**rules))
    with pytest.raises(UsageError, match=said):
        require_conforming(bag, "bagit", sha512=False, known={"External-Description": "docs"}, hashes=())


def test_what_conforms_and_what_is_not_yet_known() -> None:
    """A bag that conforms is let through; what only the collection tells is not judged before it is there."""
    rules = {
        "Bag_Info": {"Source-Organization": {"required": True, "values": ["X"]}, "Payload-Oxum": {"required": True}},
        "Manifests_Required": ["sha256", "md5"], "Tag_Files_Required": ["items.csv", "bag-info.txt"],
        "Tag_Files_Allowed": ["*"], "Allow_Fetch__txt": False, "Accept_BagIt_Version": ["0.97", "1.0"],
    }  # fmt: skip
    bag = BagOptions(("source-organization=X",), profile(**rules))
    require_conforming(bag, "bagit", sha512=False)
    require_conforming(bag, "bagit", sha512=True, known={}, hashes=("md5",))
    require_conforming(BagOptions(("A=b",)), "directory", sha512=False)
    with pytest.raises(UsageError, match="manifest-md5"):
        require_conforming(bag, "bagit", sha512=True, known={}, hashes=())


def test_what_only_groups_take() -> None:
    """The size and the kind of the bags of a group are refused for one bag, and for a group its own tags are."""
    for bag in (BagOptions(volume_bytes=5), BagOptions(volumes="tar")):
        require_options("bagit-group", {"bag": bag})
        with pytest.raises(UsageError, match="are options of bagit-group"):
            require_options("bagit", {"bag": bag})
    tagged = BagOptions(("Bag-Count=1 of 3",))
    require_options("bagit", {"bag": tagged})
    with pytest.raises(UsageError, match="Bag-Count is written into each bag"):
        require_options("bagit-group", {"bag": tagged})
    for wrong in ({"volume_bytes": 0}, {"volume_bytes": True}, {"volumes": "rar"}):
        with pytest.raises(UsageError, match="must be"):
            BagOptions.of(wrong)


def test_a_group_is_held_to_a_profile_by_its_bags() -> None:
    """What each bag of a group is decides whether a profile accepts it; its tags of the group count as given."""
    rules = {"Bag_Info": {"Bag-Count": {"required": True}}, "Accept_Serialization": ["application/x-tar"]}
    require_conforming(BagOptions(profile=profile(**rules), volumes="tar"), "bagit-group", sha512=False)
    with pytest.raises(UsageError, match=r"it is a ZIP file"):
        require_conforming(BagOptions(profile=profile(**rules)), "bagit-group", sha512=False)


def test_every_format_of_bags_has_a_media_type() -> None:
    """Whatever a bag is as one file has media types that a profile may accept; MEDIA_TYPES has no others."""
    kinds = {facts.suffix[1:] for facts in FORMATS.values() if "bag" in facts.options} - {""}
    assert kinds == {*MEDIA_TYPES} == {*get_args(Volumes)}
    assert len({name.lower() for name in WRITTEN}) == len(WRITTEN)
