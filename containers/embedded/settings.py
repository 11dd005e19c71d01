"""What one embedded stack remembers between two starts: its ports and its secrets."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from containers.embedded.ports import LOOPBACK, pick
from tasks.errors import BadInput

# Service: (environment variable that sets its port, port wished for at first).
PORTS = {
    "airflow": ("NIGHTSHIFT_AIRFLOW_PORT", 8080),
    "s3": ("NIGHTSHIFT_S3_PORT", 8333),
    "mlflow": ("NIGHTSHIFT_MLFLOW_PORT", 5000),
    "site": ("NIGHTSHIFT_SITE_PORT", 8088),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports by service, and secrets by name."""

    ports: Mapping[str, int]
    secrets: Mapping[str, str]

    def url(self, service: str) -> str:
        """Where a service answers."""
        return f"http://{LOOPBACK}:{self.ports[service]}"

    @property
    def airflow_id(self) -> str:
        """By what this stack knows its pods again, whatever its ports are now, and no other stack of any machine."""
        return f"embedded-{hashlib.sha256(self.secrets['airflow_jwt'].encode()).hexdigest()[:12]}"


def settle(home: Path, env: Mapping[str, str]) -> Settings:
    """The settings for a start now: ports as the environment or the last start has them, if they are free.

    Raises:
        BadInput: a variable holds no port.
    """
    path = home / "settings.json"
    last = json.loads(path.read_text()) if path.exists() else {"ports": {}, "secrets": {}}
    ports: dict[str, int] = {}
    for service, (variable, default) in PORTS.items():
        wished = _port(variable, env) or last["ports"].get(service, default)
        ports[service] = pick(wished if wished not in ports.values() else None)
    settings = Settings(ports=ports, secrets=last["secrets"] or _new_secrets())
    home.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump({"ports": ports, "secrets": dict(settings.secrets)}, out, indent=1)
    fresh.replace(path)
    return settings


def _port(variable: str, env: Mapping[str, str]) -> int | None:
    given = env.get(variable)
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and 0 < int(given) < 1 << 16):
        raise BadInput(f"{variable}={given!r}: expected a port, 1 to 65535, or no such variable for one that is free")
    return int(given)


def recall(home: Path) -> Settings:
    """The settings of the last start."""
    last = json.loads((home / "settings.json").read_text())
    return Settings(ports=last["ports"], secrets=last["secrets"])


def _new_secrets() -> dict[str, str]:
    return {
        "s3_access_key": secrets.token_hex(8),
        "s3_secret_key": secrets.token_hex(20),
        "airflow_jwt": secrets.token_hex(32),
        "airflow_api": secrets.token_hex(32),
        "airflow_fernet": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
