"""The demo's site, served on loopback while something is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from containers.embedded.ports import LOOPBACK, pick
from containers.embedded.render import ROOT, render


@contextmanager
def demo_site() -> Iterator[str]:
    """Its address, without a slash at the end."""
    site, port = ROOT / "build" / "site", pick()
    render(site)
    server = subprocess.Popen(
        [sys.executable, "-m", "containers.embedded.site", str(site), str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        server.terminate()
        server.wait()
