"""SeaweedFS: the embedded S3 server, one process from one wheel."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import urllib3

from containers.embedded.ports import LOOPBACK, pick_many
from containers.embedded.service import Service


def s3_environment(port: int, access_key: str, secret_key: str, host: str = LOOPBACK) -> dict[str, str]:
    """What a client needs to reach the server, in the names that every S3 tool knows."""
    return {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": "us-east-1",
    }


def seaweedfs(folder: Path, *, port: int, access_key: str, secret_key: str, log: Path, host: str = LOOPBACK) -> Service:
    """The S3 server over ``folder``, on one address only, by default loopback. Its other ports are free ones, new at
    every start."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    config.touch(mode=0o600)
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "nightshift",
                        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    }
                ]
            }
        )
    )
    ports = iter(pick_many(7))
    inner = {
        name: next(ports)
        for name in (
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
            "filer.port.grpc",
            "s3.port.grpc",
        )
    }
    command = [
        str(Path(sys.executable).with_name("weed")),
        "-logtostderr",
        "server",
        "-dir=.",
        f"-ip={host}",
        f"-ip.bind={host}",
        "-filer",
        "-s3",
        f"-s3.port={port}",
        f"-s3.config={config.name}",
        *(f"-{name}={value}" for name, value in inner.items()),
        "-master.volumeSizeLimitMB=256",
        "-master.electionTimeout=1s",
        # Each bucket takes seven volumes when it is first written to, which are nearly empty files. The server's own
        # limit, free disk space over the size limit, counts them as full: 40 GB were at their end after 23 buckets.
        "-volume.max=100000",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-volume.preStopSeconds=0",
    ]
    # It waits ten seconds for its own open streams before it ends; data is on disk long before.
    return Service(
        "SeaweedFS",
        command,
        log=log,
        env=os.environ,
        ready=lambda: _answers(host, port),
        deadline=60,
        grace=1,
        # Its folder is named from within: it takes a comma in a path for the end of one.
        folder=folder,
        litter=_sockets(port, inner),
    )


def _answers(host: str, port: int) -> bool:
    try:
        # Unsigned, so an S3 server that is up refuses: 403 is the sign of life that we want.
        status = urllib3.request("GET", f"http://{host}:{port}/", timeout=1, retries=False).status
    except urllib3.exceptions.HTTPError:
        return False
    return status in (200, 403)


def _sockets(port: int, inner: Mapping[str, int]) -> list[Path]:
    """What it leaves in /tmp. In its own folder they would fail where that lies deep: a socket's path is short."""
    names = [f"{name.partition('.')[0]}-grpc-{value}" for name, value in inner.items() if name.endswith(".grpc")]
    return [Path(f"/tmp/seaweedfs-{name}.sock") for name in (*names, f"filer-{inner['filer.port']}", f"s3-{port}")]
