"""An S3-compatible store (MinIO, SeaweedFS, AWS) through the minio SDK."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit, urlunsplit
from xml.etree.ElementTree import ParseError

import minio
import urllib3
from minio.commonconfig import ComposeSource
from minio.credentials.credentials import Credentials
from minio.error import MinioException, S3Error
from minio.helpers import check_bucket_name
from minio.signer import sign_v4_s3
from minio.time import to_amz_date

from tasks.address import without_login
from tasks.errors import BadInput, NotFound, StoreError
from tasks.store.base import ObjectInfo, Store, checked_key, checked_prefix

_MISSING = {"NoSuchKey", "NoSuchObject", "NoSuchBucket"}
_REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"}
# The last two: an answer that is no S3 (a proxy's, say) fails in minio's parsing of it.
_ERRORS = (MinioException, urllib3.exceptions.HTTPError, OSError, ParseError, UnicodeDecodeError)
# No answer is waited for longer than about three minutes, repeats included.
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_RETRIES = urllib3.Retry(total=4, read=2, backoff_factor=0.3, status_forcelist=[500, 502, 503, 504])
_HTTP = urllib3.PoolManager(timeout=_TIMEOUT, retries=_RETRIES)


class S3Store(Store):
    """Objects of one bucket below a key prefix. The bucket is made on the first write."""

    def __init__(
        self, client: minio.Minio, bucket: str, prefix: str = "", *, credentials: Credentials, region: str
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._region = region
        self._bucket = bucket
        self._prefix = f"{checked_key(prefix.strip('/'))}/" if prefix.strip("/") else ""
        self._bucket_known = False
        self._conditions_known = False
        self.url = f"s3://{bucket}/{self._prefix}".rstrip("/")

    @classmethod
    def from_environment(cls, url: str, env: Mapping[str, str]) -> S3Store:
        """The store at ``s3://bucket/prefix``, reached as ``env`` says.

        Raises:
            BadInput: no bucket in the URL, or a variable is missing or malformed.
        """
        parts = urlsplit(url)
        if not parts.netloc:
            raise BadInput(f"store {url!r}: expected s3://bucket/prefix")
        endpoint = urlsplit(env.get("AWS_ENDPOINT_URL") or "https://s3.amazonaws.com")
        shown = without_login(endpoint.geturl())
        if endpoint.scheme not in ("http", "https") or not endpoint.netloc:
            raise BadInput(f"AWS_ENDPOINT_URL={shown!r}: expected http(s)://host:port")
        missing = [n for n in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not env.get(n)]
        if missing:
            raise BadInput(f"store {url}: set {' and '.join(missing)} in the environment")
        region = env.get("AWS_REGION") or "us-east-1"
        try:
            check_bucket_name(parts.netloc, strict=True)
            credentials = Credentials(
                access_key=env["AWS_ACCESS_KEY_ID"],
                secret_key=env["AWS_SECRET_ACCESS_KEY"],
                session_token=env.get("AWS_SESSION_TOKEN") or None,
            )
            client = minio.Minio(
                endpoint=endpoint.netloc,
                access_key=credentials.access_key,
                secret_key=credentials.secret_key,
                session_token=credentials.session_token,
                secure=endpoint.scheme == "https",
                region=region,
                http_client=_HTTP,
            )
        except ValueError as error:
            raise BadInput(f"store {url} at AWS_ENDPOINT_URL={shown}: {error}") from error
        return cls(client, parts.netloc, parts.path, credentials=credentials, region=region)

    def stat(self, key: str) -> ObjectInfo | None:
        try:
            found = self._client.stat_object(bucket_name=self._bucket, object_name=self._name(key))
        except S3Error as error:
            if error.code in _MISSING:
                return None
            raise self._failed("stat", key, error) from error
        except _ERRORS as error:
            raise self._failed("stat", key, error) from error
        return ObjectInfo(key, int(found.size or 0), (found.etag or "").strip('"'))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        # Sorted here: SeaweedFS answers in the order of its folders, not of the keys.
        yield from sorted(self._list(prefix), key=lambda info: info.key)

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        start = self._prefix + checked_prefix(prefix)
        try:
            for found in self._client.list_objects(bucket_name=self._bucket, prefix=start, recursive=True):
                key = cast(str, found.object_name)[len(self._prefix) :]
                if key and not key.endswith("/"):  # that would mark an empty folder, as web consoles do
                    yield ObjectInfo(key, int(found.size or 0), (found.etag or "").strip('"'))
        except S3Error as error:
            if error.code not in _MISSING:
                raise self._failed("list", prefix, error) from error
        except _ERRORS as error:
            raise self._failed("list", prefix, error) from error

    def open(self, key: str) -> AbstractContextManager[BinaryIO]:
        return self._get(key)

    def read_at(self, key: str, offset: int, size: int) -> bytes:
        with self._get(key, offset, size) as stream:
            return stream.read()

    @contextmanager
    def _get(self, key: str, offset: int = 0, size: int = 0) -> Iterator[BinaryIO]:
        try:
            response = self._client.get_object(
                bucket_name=self._bucket, object_name=self._name(key), offset=offset, length=size
            )
        except S3Error as error:
            if error.code in _MISSING:
                raise NotFound(f"no object {self.url_of(key)}") from error
            raise self._failed("read", key, error) from error
        except _ERRORS as error:
            raise self._failed("read", key, error) from error
        # Whatever encoding an uploading tool declared: the bytes as they are stored, not unpacked.
        response.decode_content = False
        try:
            yield cast(BinaryIO, response)
        except urllib3.exceptions.HTTPError as error:
            raise self._failed("read", key, error) from error
        finally:
            response.close()
            response.release_conn()

    def write(self, key: str, data: bytes) -> ObjectInfo:
        self._make_bucket()
        try:
            done = self._client.put_object(
                bucket_name=self._bucket, object_name=self._name(key), data=io.BytesIO(data), length=len(data)
            )
        except _ERRORS as error:
            raise self._failed("write", key, error) from error
        return ObjectInfo(key, len(data), (done.etag or "").strip('"'))

    def create(self, key: str, data: bytes) -> bool:
        self._make_bucket()
        if not self._put_new(key, data):
            return self.read(key) == data
        if not self._conditions_known:
            # A server that does not know the condition stores the object all the same, and says nothing.
            if self._put_new(key, data):
                raise BadInput(
                    f"the store {self.url} ignores If-None-Match, so two writers at once could both succeed: "
                    "use a server with conditional writes (AWS S3, MinIO since 2024, SeaweedFS 4)"
                )
            self._conditions_known = True
        return True

    def _put_new(self, key: str, data: bytes) -> bool:
        """Whether the object was stored; False when something had its key."""
        # The SDK's own put has no room for the condition. Of the URL that it signs only the place is taken:
        # urllib3 quotes URLs in errors and warnings, and whoever reads one that is signed may write with it.
        place = urlsplit(self._client.presigned_put_object(bucket_name=self._bucket, object_name=self._name(key)))
        place = place._replace(query="")
        now, sha256 = datetime.now(UTC), hashlib.sha256(data).hexdigest()
        token = self._credentials.session_token
        headers = sign_v4_s3(
            method="PUT",
            url=place,
            region=self._region,
            headers={
                "Host": place.netloc,
                "If-None-Match": "*",
                "x-amz-content-sha256": sha256,
                "x-amz-date": to_amz_date(now),
                **({"x-amz-security-token": token} if token else {}),
            },
            credentials=self._credentials,
            content_sha256=sha256,
            date=now,
        )
        try:
            answer = _HTTP.request("PUT", urlunsplit(place), body=data, headers=cast(Mapping[str, str], headers))
        except _ERRORS as error:
            raise self._failed("create", key, error) from error
        if answer.status == 200:
            return True
        if answer.status == 412:
            return False
        said = answer.data.decode("utf-8", "replace")[:500]
        raise StoreError(f"cannot create {self.url_of(key)}: the store answers {answer.status}: {said}")

    def upload(self, path: Path, key: str) -> ObjectInfo:
        self._make_bucket()
        try:
            done = self._client.fput_object(bucket_name=self._bucket, object_name=self._name(key), file_path=str(path))
        except _ERRORS as error:
            raise self._failed("write", key, error) from error
        return ObjectInfo(key, path.stat().st_size, (done.etag or "").strip('"'))

    def copy(self, key: str, target: str) -> ObjectInfo:
        found = self.stat(key)
        if found is None:
            raise NotFound(f"no object {self.url_of(key)}")
        try:
            # Compose copies on the server whatever the size; a plain copy stops at 5 GiB.
            source = ComposeSource(bucket_name=self._bucket, object_name=self._name(key))
            self._client.compose_object(bucket_name=self._bucket, object_name=self._name(target), sources=[source])
        except _ERRORS as error:
            raise self._failed("copy", key, error) from error
        copied = self.stat(target)
        if copied is None:
            raise StoreError(f"{self.url_of(target)} is not there after it was copied from {key}")
        return copied

    def delete(self, key: str) -> None:
        try:
            self._client.remove_object(bucket_name=self._bucket, object_name=self._name(key))
        except S3Error as error:
            if error.code not in _MISSING:
                raise self._failed("delete", key, error) from error
        except _ERRORS as error:
            raise self._failed("delete", key, error) from error

    def _name(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _make_bucket(self) -> None:
        if self._bucket_known:
            return
        try:
            if not self._client.bucket_exists(bucket_name=self._bucket):
                self._client.make_bucket(bucket_name=self._bucket)
        except S3Error as error:
            if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise self._failed("create bucket for", "", error) from error
        except _ERRORS as error:
            raise self._failed("create bucket for", "", error) from error
        self._bucket_known = True

    def _failed(self, verb: str, key: str, error: Exception) -> StoreError | BadInput:
        if isinstance(error, S3Error) and error.code in _REFUSED:
            return BadInput(
                f"cannot {verb} {self.url_of(key)}: the store refuses these credentials ({error.code}); "
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of that key"
            )
        # Some servers answer with a page of HTML, and minio quotes all of it.
        return StoreError(f"cannot {verb} {self.url_of(key)}: {str(error)[:500]}")
