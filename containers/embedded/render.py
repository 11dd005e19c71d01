"""The demo's real text: reference documentation of installed libraries, rendered by Python's own pydoc."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pkgutil
import pydoc
import re
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from tasks.errors import NightshiftError

ROOT = Path(__file__).parents[2]
# Label: distribution. Each is installed with the project, and large enough to be told from the others.
LIBRARIES = {
    "sklearn": "scikit-learn",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sqlalchemy": "sqlalchemy",
    "twisted": "twisted",
    "scrapy": "scrapy",
    "matplotlib": "matplotlib",
    "rich": "rich",
    "pydantic": "pydantic",
    "stdlib": None,
}
PAGES = 60
"""At most so many of one library, so that no label crowds out the others."""
DEEP = "--deep"
"""Every module that is not a test, private ones and the packages of the standard library too: a site whose
submodules have pages enough to be labels themselves."""
SMALLEST, LARGEST = 3_000, 150_000
"""Bytes of a page that is kept: the empty modules of large packages say nothing, a few giants slow every step."""
FORMAT = 4
"""Raised when the same versions render differently."""
PATIENCE = 60.0
"""Seconds for one module, the import of all that it needs included."""

_ADDRESS = re.compile(r"(?: |&nbsp;)at(?: |&nbsp;)0x[0-9a-fA-F]+")
_LINK = re.compile(r'<a href="([\w.]+\.html)((?:#[^"]*)?)">')
_INDEX = re.compile(r'<a href="\.">index</a><br>')
_SKIPPED = re.compile(r"(^|\.)(_|test|tests$|conftest|setup$)")
_SKIPPED_DEEP = re.compile(r"(^|\.)(__|test|tests$|conftest|setup$)")
# These run something when they are imported, or are about this one machine.
_STRANGE = {"antigravity", "this", "idlelib", "lib2to3", "turtledemo", "sys", "site", "sysconfig"}


def render(folder: Path, deep: bool = False) -> int:
    """Render the site into ``folder`` unless it is there for these versions; returns the number of pages.

    ``deep`` renders every module that is not a test, and not the first ``PAGES`` public ones of a library.

    Raises:
        NightshiftError: a library has no pages at all; with what Python said.
    """
    mark = {
        "versions": {label: version(name) if name else sys.version for label, name in LIBRARIES.items()},
        "pages": None if deep else PAGES,
        "format": FORMAT,
    }
    marker = folder / "rendered.json"
    if marker.exists() and (done := json.loads(marker.read_text())).get("of") == mark:
        return int(done["count"])
    # Beside the old site until it is whole: a kill leaves no half of one.
    fresh = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        list(pool.map(lambda label: render_apart(label, fresh, deep), LIBRARIES))
    count = finish(fresh, LIBRARIES)
    (fresh / "rendered.json").write_text(json.dumps({"of": mark, "count": count}))
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    return count


def render_apart(label: str, folder: Path, deep: bool = False) -> None:
    """Render one library in processes of their own: importing a module may do anything, crash and hang included.

    A module that does is left out, and the rest goes on without it.

    Raises:
        NightshiftError: not one module of the library could be rendered.
    """
    bad: list[str] = []
    while True:
        code, last, said = _attempt(label, folder, bad, deep)
        if code == 0:
            break
        if not last:
            raise NightshiftError(f"{label}: its documentation cannot be rendered: {said[-1000:]}")
        bad.append(last)
    if not any((folder / label).glob("*.html")):
        why = said[-1000:]
        raise NightshiftError(f"{label}: none of its modules has a documentation page of {SMALLEST} bytes: {why}")


def finish(folder: Path, labels: Iterable[str]) -> int:
    """Mend the links between the rendered pages and write the indexes; returns the number of pages."""
    pages = {label: sorted(page.name for page in (folder / label).glob("*.html")) for label in labels}
    place = {page: f"/{label}/{page}" for label, names in pages.items() for page in names}

    def mend(link: re.Match[str]) -> str:
        return f'<a href="{place[link[1]]}{link[2]}">' if link[1] in place else "<a>"

    for url in place.values():
        page = folder / url[1:]
        page.write_text(_LINK.sub(mend, page.read_text(encoding="utf-8")), encoding="utf-8")
    for label, names in pages.items():
        links = "\n".join(f'<li><a href="/{label}/{page}">{page[:-5]}</a></li>' for page in names)
        (folder / label / "index.html").write_text(_index(f"Modules of {label}", links))
    links = "\n".join(f'<li><a href="/{label}/index.html">{label}</a></li>' for label in pages)
    (folder / "index.html").write_text(_index("Reference documentation", links))
    (folder / "urls.json").write_text(json.dumps(sorted(place.values())))
    return len(place)


def _attempt(label: str, folder: Path, without: list[str], deep: bool) -> tuple[int, str, str]:
    """Exit code of one process that renders the library, the module it was at, and what it said."""
    command = [
        sys.executable,
        "-m",
        "containers.embedded.render",
        label,
        str(folder),
        *without,
        *([DEEP] if deep else []),
    ]
    with TemporaryDirectory() as home, TemporaryFile("w+") as said:
        # Of this machine it sees next to nothing, so that nothing of it can show in a page.
        environment = {
            "PATH": os.defpath,
            "HOME": home,
            "PYTHONHASHSEED": "0",
            "MPLBACKEND": "agg",
            "PYTHONPATH": str(ROOT),
        }
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True
        )
        last, alarm = "", _alarm(process)
        assert process.stdout is not None
        for line in process.stdout:
            alarm.cancel()
            last, alarm = line.strip(), _alarm(process)
        code = process.wait()
        alarm.cancel()
        said.seek(0)
        return code, last, said.read()


def _alarm(process: subprocess.Popen[str]) -> threading.Timer:
    timer = threading.Timer(PATIENCE, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def _render_library(label: str, folder: Path, without: set[str], deep: bool) -> None:
    """Write ``<label>/<module>.html`` for its modules, naming each on standard output before it is tried."""
    tell, sys.stdout = sys.stdout, sys.stderr
    out = folder / label
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for name in _modules(label, deep):
        target = out / f"{name}.html"
        if name not in without and not target.exists():
            print(name, file=tell, flush=True)
            page = _page(name)
            if page is not None and SMALLEST <= len(page) <= LARGEST:
                target.write_text(page, encoding="utf-8")
        count += target.exists()
        if count == PAGES and not deep:
            break
    tell.flush()
    # Threads and exit handlers of what was imported have no say any more.
    os._exit(0)


def _modules(label: str, deep: bool = False) -> list[str]:
    """Names of public modules, or, ``deep``, of all but tests; those near the root first: they have more to say."""
    if label == "stdlib":
        roots = sorted(name for name in sys.stdlib_module_names - _STRANGE if not _SKIPPED.search(name))
        if not deep:
            return roots
    else:
        roots = [label]
    names = list(roots)
    for root in roots:
        spec = importlib.util.find_spec(root)  # without an import, which may be what crashes
        for place in (spec and spec.submodule_search_locations) or ():
            names += _below(Path(place), root, _SKIPPED_DEEP if deep else _SKIPPED)
    return sorted(set(names), key=lambda name: (name.count("."), name))


def _below(folder: Path, package: str, skipped: re.Pattern[str]) -> list[str]:
    """Modules below a package's folder, without importing any: the import may be what crashes."""
    found: list[str] = []
    for module in pkgutil.iter_modules([str(folder)], f"{package}."):
        if skipped.search(module.name.removeprefix(f"{package}.")):
            continue
        found.append(module.name)
        if module.ispkg:
            found += _below(folder / module.name.rpartition(".")[2], module.name, skipped)
    return found


class _Html(pydoc.HTMLDoc):
    """pydoc's pages without what is true of this machine or this moment only: paths, and the values of data."""

    def filelink(self, url: str, path: str) -> str:
        return ""

    def docother(self, object: object, name: str | None = None, mod: Any = None, *ignored: Any) -> str:
        return f"<strong>{self.escape(name or '')}</strong>"

    def getdocloc(self, object: object, basedir: str = "") -> str | None:
        return None


def _page(name: str) -> str | None:
    quiet = io.StringIO()
    try:
        with redirect_stdout(quiet), redirect_stderr(quiet):
            module = importlib.import_module(name)
            html = _Html()
            page = html.page(pydoc.describe(module), html.document(module, name))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a module that cannot be imported here has no page
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    # Default values of parameters are shown as they are: a page that tells where it was made is not kept.
    if any(place in page for place in (os.environ["HOME"], str(ROOT), sys.prefix)):
        return None
    return _ADDRESS.sub("", _INDEX.sub("", page))


def _index(title: str, links: str) -> str:
    return f"<!doctype html><html><head><title>{title}</title></head><body><ul>\n{links}\n</ul></body></html>\n"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    given, deep = [a for a in sys.argv[1:] if a != DEEP], DEEP in sys.argv
    if len(given) == 1:
        print(f"{render(Path(given[0]), deep)} pages")
    else:
        _render_library(given[0], Path(given[1]), set(given[2:]), deep)
