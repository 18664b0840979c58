"""ocfl-py as the judge of OCFL objects, without two libraries that it imports for what is not judged here.

They are s3fs, for storage roots in buckets, whose versions require another botocore than boto3 does; and pairtree, for
a layout of its own, which installs a package `tests` that hides this folder. The Makefile installs ocfl-py alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

_LEFT_OUT = {"s3fs": ["S3FileSystem"], "pairtree": ["id_encode", "id_decode"]}
_added = [name for name in _LEFT_OUT if name not in sys.modules]
for _name in _added:
    sys.modules[_name] = _module = ModuleType(_name)
    for _one in _LEFT_OUT[_name]:
        setattr(_module, _one, type(_one, (), {}))

from ocfl.object import Object  # noqa: E402
from ocfl.storage_root import StorageRoot  # noqa: E402
from ocfl.version_metadata import VersionMetadata  # noqa: E402

for _name in _added:
    del sys.modules[_name]


def require_valid(root: Path) -> None:
    """Assert that ocfl-py accepts the storage root, its layout, and the one object in it."""
    judge = StorageRoot(root=str(root))
    assert judge.validate(), judge.errors
    assert (judge.num_objects, judge.good_objects, judge.errors) == (1, 1, [])


def make_object(files: Path, folder: Path, algorithm: str) -> None:
    """Let ocfl-py make an object with these files."""
    maker = Object(identifier="urn:x:1", digest_algorithm=algorithm, spec_version="1.1")
    maker.create(srcdir=str(files), metadata=VersionMetadata(message="m"), objdir=str(folder))
