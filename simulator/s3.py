"""S3 as the product sees it: versions, delete markers, conditional puts, and unordered copies between two buckets."""
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from itertools import takewhile
from typing import Any

from contract import LEVER_KEY, RECEIPTS_PREFIX
from simulator.aws import AwsClient, failure
from simulator.network import SimulatedNetwork
from simulator.scheduler import EPOCH

PAGE = 50  # versions of a listing's page
READ_ALREADY = 0.5  # the part of the copies under way that have left a region when it is lost


@dataclass(frozen=True)
class StoredVersion:
    """A version of an object; without a body it is a delete marker."""

    number: int
    at: float
    body: bytes | None


@dataclass
class Buckets:
    """The buckets of all regions. `copied` names the one that each bucket's objects are copied to."""

    network: SimulatedNetwork
    regions: dict[str, str]
    """The region of each bucket."""
    copied: dict[str, str] = field(default_factory=dict)
    lag: Callable[[], float] = lambda: 1.0
    stalled: set[tuple[str, str]] = field(default_factory=set)
    objects: dict[str, dict[str, list[StoredVersion]]] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    """The keys of each bucket's objects, in order."""
    _waiting: list[tuple[str, str, StoredVersion]] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        self.objects = {bucket: {} for bucket in self.regions}
        self.keys = {bucket: [] for bucket in self.regions}

    def newest(self, bucket: str, key: str) -> bytes | None:
        """What a GET finds."""
        versions = self.objects[bucket].get(key)
        return versions[-1].body if versions else None

    def write(self, bucket: str, key: str, body: bytes | None) -> None:
        """Add a version, and begin to copy it."""
        self._number += 1
        version = StoredVersion(self._number, self.network.scheduler.now, body)
        self._versions(bucket, key).append(version)
        target = self.copied.get(bucket)
        if target and key.startswith(RECEIPTS_PREFIX):
            self._copy(bucket, key, version)

    def _versions(self, bucket: str, key: str) -> list[StoredVersion]:
        """The versions of an object, which may be new."""
        if key not in self.objects[bucket]:
            self.objects[bucket][key] = []
            insort(self.keys[bucket], key)
        return self.objects[bucket][key]

    def _copy(self, bucket: str, key: str, version: StoredVersion) -> None:
        target = self.copied[bucket]
        direction = self.regions[bucket], self.regions[target]

        def arrive() -> None:
            read = direction[0] in self.network.dead and self.network.scheduler.random.random() < READ_ALREADY
            if direction in self.stalled or not (read or self.network.reaches(*direction)):
                self._waiting.append((bucket, key, version))
                return
            versions = self._versions(target, key)
            if version not in versions:
                versions.append(version)
                versions.sort(key=lambda each: (each.at, each.number))

        self.network.scheduler.at(self.lag(), arrive)

    def drain(self) -> None:
        """Let copies that waited for a cut or a stall to end go on."""
        waiting, self._waiting = self._waiting, []
        for copy in waiting:
            direction = self.regions[copy[0]], self.regions[self.copied[copy[0]]]
            if direction not in self.stalled and self.network.reaches(*direction):
                self._copy(*copy)
            else:
                self._waiting.append(copy)


class S3Client(AwsClient[Buckets]):
    """S3's."""

    service, connect, read = "s3", 0.4, 0.8

    def put_object(self, *, Bucket: str, Key: str, Body: bytes = b"", IfNoneMatch: str = "",  # noqa: N803
                   **_: Any) -> dict[str, Any]:
        """PutObject, with `If-None-Match: *` or without."""
        def serve() -> dict[str, Any]:
            if IfNoneMatch and self._part.newest(Bucket, Key) is not None:
                raise failure("PutObject", "PreconditionFailed", 412)
            self._part.write(Bucket, Key, bytes(Body))
            return {}

        return self._call("PutObject", serve, Bucket, record=Key == LEVER_KEY)

    def get_object(self, *, Bucket: str, Key: str, VersionId: str = "") -> dict[str, Any]:  # noqa: N803
        """GetObject."""
        def serve() -> dict[str, Any]:
            if VersionId:
                found = [each.body for each in self._part.objects[Bucket].get(Key, ())
                         if str(each.number) == VersionId]
                body = found[0] if found else None
            else:
                body = self._part.newest(Bucket, Key)
            if body is None:
                raise failure("GetObject", "NoSuchKey", 404)
            return {"Body": BytesIO(body), "ContentLength": len(body)}

        return self._call("GetObject", serve, Bucket)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """HeadObject."""
        def serve() -> dict[str, Any]:
            body = self._part.newest(Bucket, Key)
            if body is None:
                raise failure("HeadObject", "404", 404)
            return {"ContentLength": len(body)}

        return self._call("HeadObject", serve, Bucket)

    def delete_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """DeleteObject: a delete marker on top."""
        def serve() -> dict[str, Any]:
            self._part.write(Bucket, Key, None)
            return {}

        return self._call("DeleteObject", serve, Bucket, record=Key == LEVER_KEY)

    def list_object_versions(self, *, Bucket: str, Prefix: str = "", KeyMarker: str = "",  # noqa: N803
                             VersionIdMarker: str = "", **_: Any) -> dict[str, Any]:  # noqa: N803
        """ListObjectVersions, newest first of each key."""
        def serve() -> dict[str, Any]:
            objects, keys = self._part.objects[Bucket], self._part.keys[Bucket]
            marker = KeyMarker, -int(VersionIdMarker or 0)
            first = bisect_left(keys, max(KeyMarker, Prefix))
            rows = [(key, version, version is objects[key][-1])
                    for key in takewhile(lambda key: key.startswith(Prefix), keys[first:first + PAGE + 2])
                    for version in reversed(objects[key]) if (key, -version.number) > marker]
            page, more = rows[:PAGE], len(rows) > PAGE
            listed = [({"Key": key, "VersionId": str(version.number), "IsLatest": latest,
                        "LastModified": datetime.fromtimestamp(int(EPOCH + version.at), UTC),
                        "Size": len(version.body or b"")}, version.body is None) for key, version, latest in page]
            return {"Versions": [row for row, marker in listed if not marker],
                    "DeleteMarkers": [row for row, marker in listed if marker], "IsTruncated": more,
                    **({"NextKeyMarker": page[-1][0], "NextVersionIdMarker": str(page[-1][1].number)} if more else {})}

        return self._call("ListObjectVersions", serve, Bucket)
