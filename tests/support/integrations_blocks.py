"""The credentials blocks of prefect-gcp and prefect-azure themselves, without what their packages import for the rest.

The Makefile installs the two packages in a folder of their own, without what they require beside the extras of this one
(gRPC, the clients of Google's APIs and of Azure's management, aiohttp: 100 MB and seconds of every process that asks
Prefect for its collections). Only the modules of the credentials are imported here, and they are the packages' own.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

_FOLDER = Path(sys.prefix, "integrations")
_LEFT_OUT = {
    "azure.mgmt": [],
    "azure.mgmt.containerinstance": ["ContainerInstanceManagementClient"],
    "azure.mgmt.resource": ["ResourceManagementClient"],
}


def _credentials_of(package: str) -> ModuleType:
    """Import a package's module `credentials` alone, without its `__init__`, which imports all of it."""
    bare = ModuleType(package)
    bare.__path__ = [str(_FOLDER / package)]
    sys.modules.setdefault(package, bare)
    return import_module(f"{package}.credentials")


sys.path.append(str(_FOLDER))
_added = [name for name in _LEFT_OUT if name not in sys.modules]
for _name in _added:
    sys.modules[_name] = _module = ModuleType(_name)
    for _one in _LEFT_OUT[_name]:
        setattr(_module, _one, type(_one, (), {}))
try:
    AzureBlobStorageCredentials = _credentials_of("prefect_azure").AzureBlobStorageCredentials
    GcpCredentials = _credentials_of("prefect_gcp").GcpCredentials
finally:
    for _name in _added:
        del sys.modules[_name]
    sys.path.remove(str(_FOLDER))
