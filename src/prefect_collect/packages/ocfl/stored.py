"""An object in a storage root: what is there, what an interrupted export left, and the writing of a version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice

from prefect_collect.errors import KeyExists, KeyMissing, PackageError, PackageExists
from prefect_collect.packages.building.replacing import MARKERS, FolderLeft, Marker
from prefect_collect.packages.ocfl.inventory import MOST_BYTES, Inventory, parsed_inventory
from prefect_collect.packages.ocfl.names import INVENTORY, OBJECT, SIDECAR, declared
from prefect_collect.stores import Blob, DirectoryStore, Store
from prefect_collect.threads.abandoned import current_fence
from prefect_collect.untrusted.bounded_json import BadValue


@dataclass(slots=True)
class StoredObject:
    """The object in the folder `key`, to which the export job `job_id` ("" for none) adds a version.

    The inventory in the object's folder is replaced last, so that readers have either the old version or the new one.
    """

    destination: Store
    key: str
    job_id: str
    inventory: Inventory | None = None
    data: bytes = b""
    _sizes: dict[str, int] | None = None
    """The files of the object when the first of earlier versions was looked for."""

    def read(self) -> None:
        """Read the object, and end what an interrupted attempt of the job had all but ended.

        Raise PackageError if the object is damaged or cannot be continued, PackageExists if it is not an object.
        """
        self.inventory, self.data = None, self._read(INVENTORY)
        if not self.data:
            declaration = self._read(OBJECT)
            for blob in islice(self.destination.list(f"{self.key}/"), 1000):
                name = blob.key.removeprefix(f"{self.key}/")
                if not name.startswith("v1/") and (name, declaration) != (OBJECT, declared(OBJECT)):
                    raise PackageExists(f"{self._where(name)} does not belong to an OCFL object; remove it. {self._at}")
            return
        try:
            inventory = self.inventory = parsed_inventory(self.data)
        except BadValue as error:
            raise PackageError(f"The object's inventory cannot be continued: {error}. {self._at}") from error
        if (inventory.id, inventory.algorithm, inventory.content) != (self.key, "sha256", "content"):
            raise PackageError(
                "The object has another id, digestAlgorithm (not sha256) or contentDirectory than those that are "
                f"written here; name another destination. [id={inventory.id[:200]}] {self._at}"
            )
        marker, head = self.marker(inventory.head), f"v{inventory.head}"
        is_sealed = self._read(SIDECAR).split() == self._sidecar().split()
        if not is_sealed and self._has(marker.name) and self._read(f"{head}/{INVENTORY}") == self.data:
            self._put(SIDECAR, self._sidecar())
            is_sealed = True
        if not is_sealed:
            self._require_unchanged(self.data)
            raise self._unsealed(head)
        if self._read(OBJECT) != declared(OBJECT):
            raise PackageError(f"The object's declaration was changed; restore it from a backup. {self._at}")
        # The last version is complete, so its writer's marker is removed.
        for name in self.destination.folders(f"{self.key}/{head}/"):
            if name.startswith(MARKERS):
                with current_fence().passing():
                    self.destination.delete(f"{self.key}/{head}/{name}/")

    def _unsealed(self, head: str) -> PackageError:
        """Return the error of an inventory whose hash does not fit, as long as it is still that inventory."""
        if (self._read(f"{head}/{INVENTORY}"), self._read(f"{head}/{SIDECAR}")) == (self.data, self._sidecar()):
            return PackageError(
                f"The export that wrote {head} has not written the hash of the inventory yet: wait until it has ended, "
                f"or retry it if it was interrupted. If that job is gone, copy {head}/{SIDECAR} to {SIDECAR}. "
                f"{self._at}"
            )
        return PackageError(
            f"The hash of the object's inventory is not what it should be, as one of them was changed; restore the "
            f"object from a backup. {self._at}"
        )

    @property
    def next(self) -> int:
        """The number of the version that is added."""
        return 1 if self.inventory is None else self.inventory.head + 1

    @property
    def folder(self) -> str:
        """The folder of the version that is added, at the destination."""
        return f"{self.key}/v{self.next}"

    def marker(self, number: int) -> Marker:
        """Return the file that names the job while it writes that version."""
        return Marker(self.destination, f"{self.key}/v{number}", self.job_id)

    def make_room(self, names: Iterable[set[str]], *, replace: bool) -> None:
        """Set the marker in the new version's folder, from which what the same job left is removed.

        Raise PackageExists if it holds anything else.
        """
        folder, marker = f"{self.folder}/", self.marker(self.next)
        if next(iter(self.destination.list(folder)), None) is not None:
            left = FolderLeft(self.destination, self.folder, "")
            other = left.others(chain([{marker.name, INVENTORY, SIDECAR}], names))
            if not (replace and self.job_id and marker.name in left.sizes) or other is not None:
                self._require_unchanged(self.data)
                raise PackageExists(f"{self._taken(left, other)} {self._at}")
            with current_fence().passing():
                self.destination.remove(f"{folder}{name}" for name in left.sizes if name != marker.name)
                self.destination.delete(f"{folder}content/")
        elif self.job_id:
            try:
                marker.set(alone=True)
            except PackageExists as error:
                raise PackageExists(
                    f"Another export writes {self._where(f'v{self.next}')}; retry when it has ended. {self._at}"
                ) from error

    def commit(self, inventory: Inventory) -> Blob:
        """Write the inventories of a version whose content is written.

        Raise PackageError if the inventory is too large, or if another one has replaced the inventory meanwhile.
        """
        data, before, number = inventory.to_bytes(), self.data, self.next
        try:
            parsed_inventory(data)
        except BadValue as error:
            raise PackageError(
                f"The object's inventory cannot be written, because readers would refuse it: {error}; name another "
                f"destination. {self._at}"
            ) from error
        self.data = data
        try:
            for name, contents in ((SIDECAR, self._sidecar()), (INVENTORY, data)):
                self._put(f"v{number}/{name}", contents, replace=False)
            self._require_unchanged(before)
            if not before and not self._read(OBJECT):
                self._put(OBJECT, declared(OBJECT), replace=False)
            blob = self._put(INVENTORY, data, replace=bool(before))
        except KeyExists as error:
            raise self._changed() from error
        self._put(SIDECAR, self._sidecar())
        self.inventory = inventory
        if self.job_id:
            self.marker(number).remove()
        return blob

    def remove_version(self) -> None:
        """Remove what was written of the version that is not committed, and the object's folder if it has no other."""
        with current_fence().passing():
            self.destination.delete(f"{self.folder}/")
            if self.inventory is not None:
                return
            # Only what was listed is removed: another export may begin here meanwhile.
            left = [blob.key for blob in islice(self.destination.list(f"{self.key}/"), 2)]
            if left == [f"{self.key}/{OBJECT}"]:
                self.destination.remove(left)
                left = []
            if not left and isinstance(self.destination, DirectoryStore):
                self.destination.delete(f"{self.key}/")

    def _taken(self, left: FolderLeft, other: str | None) -> str:
        """Return what is said of a folder of the new version that holds `other`."""
        writer = next((name for name in left.sizes if name.startswith(MARKERS)), None)
        if writer is not None:
            job = writer.removeprefix(MARKERS).partition("/")[0]
            return (
                f"The export job {job} writes {self._where(f'v{self.next}')}, or was interrupted: wait until it has "
                "ended, or retry it first."
            )
        named = other or min(left.sizes, default="")
        return (
            f"{self._where(f'v{self.next}/{named}')} does not belong to this export: another tool writes here; "
            "remove the folder."
        )

    def require_content(self, path: str, size: int) -> None:
        """Raise PackageError if a file of an earlier version, which the new one shares, is not there in that size."""
        if self._sizes is None:  # one listing takes a request for a thousand files
            start = len(self.key) + 1
            self._sizes = {blob.key[start:]: blob.size for blob in self.destination.list(f"{self.key}/")}
        if self._sizes.get(path) != size:
            raise PackageError(
                f"A file of an earlier version, which this one shares, is lost or has another size; restore the object "
                f"from a backup. [{self.destination.locate(f'{self.key}/{path}')}]"
            )

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the inventory."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def _at(self) -> str:
        return f"[{self.destination.locate(self.key)}]"

    def _where(self, name: str) -> str:
        return f"{f'{self.key}/{name}'!r} at the destination"

    def _sidecar(self) -> bytes:
        return f"{self.fingerprint()} {INVENTORY}\n".encode()

    def _has(self, name: str) -> bool:
        number = 0 if self.inventory is None else self.inventory.head
        try:
            self.destination.stat(f"{self.key}/v{number}/{name}")
        except KeyMissing:
            return False
        return True

    def _read(self, name: str) -> bytes:
        try:
            return self.destination.read(f"{self.key}/{name}", 0, MOST_BYTES + 1)
        except KeyMissing:
            return b""

    def _require_unchanged(self, before: bytes) -> None:
        """Raise PackageError unless the inventory is still the one that was read."""
        if self._read(INVENTORY) != before:
            raise self._changed()

    def _changed(self) -> PackageError:
        return PackageError(f"Another program changed the object meanwhile; retry the export. {self._at}")

    def _put(self, name: str, data: bytes, *, replace: bool = True) -> Blob:
        writer = self.destination.writer(f"{self.key}/{name}", replace=replace)
        try:
            writer.write(data)
            return writer.commit()
        finally:
            writer.abort()
