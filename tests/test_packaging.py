"""The installed package has the modules of the tree, under the right names, and is fast to import."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.package_modules import LINKED, MODULES, ROOT, SOURCE
from tests.support.process_fork import run_fork

WITH_PREFECT = (*LINKED, "artifacts", "cli", "console", "jobs", "runs")
FACADES = ("", "blocks", "codes", "flows", "jobs", "packages", "sources", "statuses", "stores", "verification")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _run(code: str, tmp_path: Path) -> str:
    """Return what a new Python process prints; files of Prefect, if any, go to `tmp_path`."""
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_listed_packages_are_the_tree() -> None:
    """Every folder with modules is a listed package with an `__init__`, and no other folder is listed."""
    folders = {
        name if path.name == "__init__.py" else name.rpartition(".")[0]: path.parent for name, path in MODULES.items()
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == set(folders)
    assert [str(folder) for folder in folders.values() if not (folder / "__init__.py").is_file()] == []


def test_the_root_folders_are_mapped() -> None:
    """Each root folder is installed below prefect_collect; setuptools knows where each package lies."""
    mapped = {"prefect_collect": "src/prefect_collect", **{f"prefect_collect.{name}": name for name in LINKED}}
    assert PROJECT["tool"]["setuptools"]["package-dir"] == mapped
    assert PROJECT["tool"]["setuptools"]["include-package-data"] is False


@pytest.mark.parametrize("name", LINKED)
def test_the_links_for_type_checkers(name: str) -> None:
    """Each root folder has its relative link in the source tree, for type checkers and editors."""
    link = SOURCE / name
    assert link.is_symlink()
    assert os.readlink(link) == f"../../{name}"
    assert link.resolve() == ROOT / name


def test_no_module_is_named_like_the_standard_librarys() -> None:
    """A path entrypoint loads a file under its bare name, which must not be that of a standard module."""
    names = {path.stem for path in MODULES.values()} - {"__init__", "__main__"}
    assert not names & sys.stdlib_module_names


def _forget(*packages: str) -> None:
    """Have these packages, and those whose names continue theirs, be imported anew."""
    for name in [name for name in sys.modules if name.startswith(packages)]:
        del sys.modules[name]


class _Forbidden(importlib.abc.MetaPathFinder):
    """Finds no module, and refuses to look for one of Prefect's."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Raise ImportError for a module of Prefect's."""
        if name.split(".")[0] in ("prefect", "prefect_aws"):
            raise ImportError(f"{name} must not be imported here")


def test_the_core_does_not_import_prefect() -> None:
    """Every module outside the rooms that use Prefect can be imported where importing Prefect is forbidden."""
    core = [name for name in MODULES if name.split(".")[1:2] not in [[part] for part in WITH_PREFECT]]
    assert len(core) > 10

    def import_core() -> None:
        _forget("prefect")
        sys.meta_path.insert(0, _Forbidden())
        for name in core:
            importlib.import_module(name)

    done = run_fork(import_core)
    assert done.code == 0, done.err.decode()


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    """`import prefect_collect` loads no library, and of its modules only what imports each name at its first use."""
    code = """if True:
        import sys
        import prefect_collect
        heavy = ("prefect", "pyarrow", "pandas", "boto3", "google.auth", "azure", "pycurl", "importlib.metadata")
        assert {"collect", "FileSource", "jobs", "__version__"} <= set(dir(prefect_collect))
        print([name for name in sys.modules if name in heavy or name.startswith("prefect_collect.")])
    """
    assert _run(code, tmp_path).strip() == "['prefect_collect.names_later']"


def test_an_unknown_name_is_an_attribute_error() -> None:
    """An unknown name of the package raises AttributeError, as in any Python module."""
    import prefect_collect

    with pytest.raises(AttributeError, match="module 'prefect_collect' has no attribute 'collekt'"):
        _ = prefect_collect.collekt
    assert prefect_collect.__version__ == importlib.metadata.version("prefect-collect") == PROJECT["project"]["version"]


def test_type_checkers_see_what_is_imported_later() -> None:
    """The package names the same modules to type checkers and editors as those that it imports its names from."""
    import prefect_collect

    text = Path(prefect_collect.__file__).read_text(encoding="utf-8")
    stated = re.findall(r"^    from prefect_collect\.(\S+) import (\w+) as (\w+)$", text, re.MULTILINE)
    assert {name: home for home, name, alias in stated if name == alias} == prefect_collect._HOMES
    assert {*prefect_collect._HOMES, "jobs", "__version__"} <= set(dir(prefect_collect))


def _import_first(name: str) -> None:
    """Import a facade before all other modules of prefect_collect, and print what it names."""
    _forget("prefect_collect")
    warnings.simplefilter("ignore")  # Prefect warns of types of blocks that are defined again
    module = importlib.import_module(name)
    names = vars(module).get("__all__") or sorted(module._HOMES)
    print(*names, *(f"{each}-is-missing" for each in names if not hasattr(module, each)))


@pytest.mark.parametrize("facade", FACADES)
def test_what_a_facade_names_can_be_imported(facade: str) -> None:
    """`__all__` of each public package has no doubles, is sorted as ruff does, and every name in it can be imported.

    Each is imported first of all modules of prefect_collect, in a fork of a process that has imported the libraries.
    """
    name = f"prefect_collect.{facade}".rstrip(".")
    importlib.import_module(name)
    done = run_fork(lambda: _import_first(name))
    assert done.code == 0, done.err.decode()
    names = done.out.decode().split()
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert [name for name in names if name.endswith("-is-missing")] == []


def test_the_wheel_holds_every_module_under_its_name(tmp_path: Path) -> None:
    """A wheel built from the tree contains each module once and the files beside them that it needs, and no more."""
    tree = tmp_path / "any name"
    for name in ("src", *LINKED):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]):
        shutil.copy(ROOT / name, tree / name)
    # As pip builds it, in one process instead of four.
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, cwd=tree
    )
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "prefect_collect = prefect_collect.blocks" in archive.read(entry_points).decode()
    expected = {
        "/".join(name.split(".")) + ("/__init__.py" if path.name == "__init__.py" else ".py")
        for name, path in MODULES.items()
    }
    data = {
        "prefect_collect/py.typed",
        "prefect_collect/deployments/automations.yaml",
        "prefect_collect/deployments/prefect.yaml",
        *(f"prefect_collect/blocks/logos/{path.name}" for path in (ROOT / "blocks" / "logos").iterdir()),
        *(
            f"prefect_collect/{folder}/{path.name}"
            for folder in ("console/static", "console/templates", "documents/fonts")
            for path in (ROOT / "src" / "prefect_collect" / folder).iterdir()
        ),
    }
    assert sorted(names) == sorted(expected | data)
