"""A child that trains nothing: ``NIGHTSHIFT_SCRIPT`` (JSON) says what it does and which fault it has.

Workers meet in a folder instead of a collective, which is all that the protocol needs of TensorFlow: a step ends when
every worker has entered it, or never when one is gone, and says so to nobody.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tasks import errors
from tasks.errors import PeerLost, Preempted
from tasks.gang.line import ChildEnd, serve

SCRIPT: dict[str, Any] = json.loads(os.environ["NIGHTSHIFT_SCRIPT"])
TASK = json.loads(os.environ["TF_CONFIG"])
WORKER, WORKERS = int(TASK["task"]["index"]), len(TASK["cluster"]["worker"])
FOLDER = Path(SCRIPT["folder"])


def tell(at: str) -> None:
    """Say that this process is at a place, all at once: a reader never sees half of it."""
    mark = FOLDER / f"{WORKER}.{at}"
    mark.with_suffix(".tmp").write_text(str(os.getpid()))
    mark.with_suffix(".tmp").rename(mark)


def fault(at: str, line: ChildEnd) -> None:
    """Say where this worker is, and do there what the script wants of it."""
    tell(at)
    match SCRIPT.get(f"{WORKER}.{at}"):
        case "hang":
            time.sleep(600)
        case "hold":
            while not (FOLDER / "go").exists():
                time.sleep(0.01)
        case "alive":
            for _ in range(10):
                time.sleep(0.25)
                line.report("alive", doing=at)
        case "once":
            if not (died := FOLDER / f"{WORKER}.{at}.died").exists():
                died.write_text(str(os.getpid()))
                os._exit(9)
        case "later":
            if list(FOLDER.glob(f"{WORKER}.*.died")):
                os._exit(9)
        case "exit":
            os._exit(9)
        case "crash":
            raise ValueError("no such layer")
        case "garble":
            os.write(line._events, b"\x00 no JSON\n")
            time.sleep(600)
        case "zombie":
            reader, writer = os.pipe()
            if (parent := os.fork()) == 0:
                if (orphan := os.fork()) != 0:
                    os.write(writer, str(orphan).encode())
                os._exit(0)
            os.waitpid(parent, 0)
            orphan = int(os.read(reader, 20))
            while Path(f"/proc/{orphan}").exists():
                time.sleep(0.01)
            tell("buried")
        case "orphan":
            if os.fork() == 0:
                os.setsid()
                tell("orphan")
                time.sleep(600)
            while not (FOLDER / f"{WORKER}.orphan").exists():
                time.sleep(0.01)
        case [name, message]:
            raise getattr(errors, name)(message)


def all_workers(step: int, line: ChildEnd, stop_from: list[int]) -> bool:
    """The stand-in for a collective: waits until every worker is in this step, answers whether one is to leave."""
    if line.stopping and not stop_from:
        stop_from.append(step)
    mine = FOLDER / f"worker-{WORKER}"
    mine.with_suffix(".tmp").write_text(json.dumps([step, *stop_from]))
    mine.with_suffix(".tmp").rename(mine)
    deadline = time.monotonic() + SCRIPT.get("collective", 600)
    while True:
        here = [json.loads(path.read_text()) for path in FOLDER.glob("worker-?")]
        if len(here) == WORKERS and all(at >= step for at, *_ in here):
            return any(at <= step for _, *stops in here for at in stops)
        if time.monotonic() > deadline:
            raise PeerLost(f"no answer in step {step}")
        time.sleep(0.005)


def work(line: ChildEnd) -> dict[str, Any] | None:
    """The life of a child."""
    print(f"child {WORKER} is here", file=sys.stderr)
    print(f"processors: {os.environ.get('NIGHTSHIFT_CPUS')}", file=sys.stderr)
    print("a library prints")
    Path(tempfile.mkdtemp(), "shard").write_text("some examples")
    fault("start", line)
    line.report("ready")
    if WORKER == 0:
        line.report("newest", checkpoint="checkpoints/7")
    order = line.wait("restore")
    fault("restore", line)
    line.report("restored", step=7, digest=SCRIPT.get(f"{WORKER}.digest", "abc"), checkpoint=order["checkpoint"])
    line.wait("go")
    step, stop_from = 7, list[int]()
    while step < 7 + SCRIPT.get("steps", 3):
        fault(f"step{step}", line)
        told = all_workers(step, line, stop_from)
        step += 1
        line.progress(step, loss=1 / step)
        if told:
            if WORKER == 0:
                line.report("alive", doing="checkpoint")
                fault("checkpoint", line)
                line.report("saved", step=step, key=f"checkpoints/{step}")
            raise Preempted(f"all workers stopped after step {step}")
    fault("rest", line)
    if WORKER != 0:
        return None
    line.report("alive", doing="export")
    fault("export", line)
    return {"step": "train", "corpus": "docs", "manifest": "file:///m", "counts": {"steps": step}}


if __name__ == "__main__":
    serve(work)
