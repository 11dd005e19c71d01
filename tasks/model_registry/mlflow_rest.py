"""MLflow's REST API, as far as the mirror needs it.

Spoken directly: importing MLflow's client takes four seconds of processor time, a call here takes
milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import urllib3

from tasks.address import without_login
from tasks.errors import BadInput, StoreError

_TIMEOUT = urllib3.Timeout(connect=10, read=60)
# Connections only: what was sent may have been done, and the mirror looks before it does a thing again.
_RETRIES = urllib3.Retry(total=None, connect=2, read=0, redirect=2, status=0, other=0, backoff_factor=0.5)


class Refused(StoreError):
    """MLflow answered with an error; ``code`` is its name of it."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def exists(self) -> bool:
        return self.code == "RESOURCE_ALREADY_EXISTS"


class MlflowRest:
    """One MLflow server; ``url`` is how messages name it, without credentials."""

    def __init__(self, env: Mapping[str, str]) -> None:
        parts = urlsplit(env["MLFLOW_TRACKING_URI"])
        if parts.scheme not in ("http", "https") or not parts.hostname:
            shown = without_login(env["MLFLOW_TRACKING_URI"])
            raise BadInput(f"MLFLOW_TRACKING_URI={shown!r}: expected http(s)://host:port of an MLflow server")
        host = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._headers = _authorization(env, parts.username, parts.password)
        insecure = env.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("1", "true")
        self._http = urllib3.PoolManager(
            timeout=_TIMEOUT,
            retries=_RETRIES,
            cert_reqs="CERT_NONE" if insecure else "CERT_REQUIRED",
            ca_certs=env.get("MLFLOW_TRACKING_SERVER_CERT_PATH"),
        )

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """The answer to ``GET /api/2.0/mlflow/<path>``; raises as ``post`` does."""
        return self._call("GET", path, fields=query)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer to ``POST /api/2.0/mlflow/<path>``.

        Raises:
            Refused: the server answered with an error.
            StoreError: it did not answer.
            BadInput: it refuses the credentials.
        """
        return self._call("POST", path, json=body)

    def _call(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, f"{self.url}/api/2.0/mlflow/{path}", headers=self._headers, **content)
        except urllib3.exceptions.HTTPError as error:
            raise StoreError(f"MLflow at {self.url} does not answer: {str(error)[:300]}") from error
        if answer.status in (401, 403):
            raise BadInput(
                f"MLflow at {self.url} refuses these credentials ({answer.status}): check "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        try:
            value = json.loads(answer.data)
        except ValueError:
            value = None
        if answer.status == 200 and isinstance(value, dict):
            return value
        said = value if isinstance(value, dict) else {"message": answer.data.decode("utf-8", "replace")}
        code = str(said.get("error_code", answer.status))
        raise Refused(f"MLflow at {self.url}: {path}: {code}: {str(said.get('message', ''))[:300]}", code)


def _authorization(env: Mapping[str, str], username: str | None, password: str | None) -> dict[str, str]:
    if token := env.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    username = env.get("MLFLOW_TRACKING_USERNAME") or username
    password = env.get("MLFLOW_TRACKING_PASSWORD") or password
    return urllib3.make_headers(basic_auth=f"{username}:{password or ''}") if username else {}
