"""The local runtime and its guard, over real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plugins.runtime import Outcome
from plugins.runtime.local import LINE_BYTES, LocalRuntime

DEADLINE = 20.0


def script(source: str) -> list[str]:
    return [sys.executable, "-S", "-c", textwrap.dedent(source)]


def run(source: str, on_line: Callable[[str], None] = lambda line: None, **environment: str) -> Outcome:
    return LocalRuntime(script(source)).run(["step"], {**os.environ, **environment}, on_line)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {DEADLINE} s: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


TREE = """
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    open(os.environ["PIDS"] + ".tmp", "w").write(f"{os.getpid()} {child.pid}")
    os.rename(os.environ["PIDS"] + ".tmp", os.environ["PIDS"])
    time.sleep(600)
"""
# As a daemon, or a task of Airflow's scheduler: in a session of its own, its parent gone.
ESCAPED = """
    import os, time
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            time.sleep(600)
        os._exit(0)
    os.wait()
    open(os.environ["PIDS"] + ".tmp", "w").write(f"{os.getpid()} {os.read(reader, 20).decode()}")
    os.rename(os.environ["PIDS"] + ".tmp", os.environ["PIDS"])
    time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + textwrap.dedent(TREE)


def pids(path: Path) -> list[int]:
    wait_until(path.exists, "the step wrote its process ids")
    return [int(pid) for pid in path.read_text().split()]


def test_the_last_line_of_standard_output_is_the_result() -> None:
    outcome = run("""print("chatter"); print('{"manifest": "file:///m"}')""")
    assert outcome.exit_code == 0
    assert outcome.payload == {"manifest": "file:///m"}


def test_output_that_ends_in_no_object_gives_no_result() -> None:
    assert run("""print('{"manifest": 1}'); print("done")""").payload is None
    assert run("""print("[1, 2]")""").payload is None


@pytest.mark.parametrize("code", [1, 2, 3, 77])
def test_exit_codes_come_through(code: int) -> None:
    assert run(f"raise SystemExit({code})").exit_code == code


def test_a_step_killed_by_a_signal_is_told_from_one_that_failed() -> None:
    assert run("import os; os.kill(os.getpid(), 9)").exit_code == -9


def test_log_lines_arrive_while_the_step_runs(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def on_line(line: str) -> None:
        if line == "working":
            seen.touch()

    outcome = run(
        """
        import os, sys, time
        print("working", file=sys.stderr)
        while not os.path.exists(os.environ["SEEN"]):
            time.sleep(0.01)
        """,
        on_line,
        SEEN=str(seen),
    )
    assert outcome.exit_code == 0, "the step waits until its own line was heard"


def test_an_endless_line_is_logged_in_bounded_pieces() -> None:
    lines: list[str] = []
    run(f"import sys; sys.stderr.write('x' * {5 * LINE_BYTES})", lines.append)
    assert sum(map(len, lines)) == 5 * LINE_BYTES
    assert max(map(len, lines)) <= 3 * LINE_BYTES


def test_invalid_bytes_in_a_log_line_do_not_stop_the_step() -> None:
    lines: list[str] = []
    assert run(r"import sys; sys.stderr.buffer.write(b'\xff\xfe bad\n')", lines.append).exit_code == 0
    assert "bad" in lines[0]


@pytest.mark.parametrize("source", [TREE, STUBBORN, ESCAPED], ids=["gentle", "ignores SIGTERM", "left the group"])
def test_kill_ends_the_whole_tree(tmp_path: Path, source: str) -> None:
    written = tmp_path / "pids"
    runtime = LocalRuntime(script(source))
    outcomes: list[Outcome] = []
    environment = {**os.environ, "PIDS": str(written), "NIGHTSHIFT_KILL_GRACE": "0.3"}
    thread = threading.Thread(target=lambda: outcomes.append(runtime.run([], environment, lambda line: None)))
    thread.start()
    tree = pids(written)
    runtime.kill()
    thread.join(DEADLINE)
    assert outcomes[0].exit_code < 0
    assert not [pid for pid in tree if alive(pid)]


def test_a_grace_that_is_no_number_is_said_and_leaves_no_process(tmp_path: Path) -> None:
    written, lines = tmp_path / "pids", list[str]()
    runtime = LocalRuntime(script(ESCAPED))
    environment = {**os.environ, "PIDS": str(written), "NIGHTSHIFT_KILL_GRACE": "soon"}
    thread = threading.Thread(target=lambda: runtime.run([], environment, lines.append))
    thread.start()
    tree = pids(written)
    runtime.kill()
    thread.join(DEADLINE)
    assert not [pid for pid in tree if alive(pid)]
    assert "NIGHTSHIFT_KILL_GRACE='soon'" in lines[0]


def test_an_exception_in_the_task_leaves_no_process(tmp_path: Path) -> None:
    written = tmp_path / "pids"

    class Timeout(Exception):
        pass

    def too_late(signum: int, frame: object) -> None:
        raise Timeout

    before = signal.signal(signal.SIGALRM, too_late)
    try:
        threading.Thread(target=lambda: (pids(written), os.kill(os.getpid(), signal.SIGALRM))).start()
        with pytest.raises(Timeout):
            run(TREE, PIDS=str(written), NIGHTSHIFT_KILL_GRACE="0.3")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not [pid for pid in pids(written) if alive(pid)]


@pytest.mark.parametrize("source", [TREE, ESCAPED], ids=["in the group", "left the group"])
def test_kill_9_of_the_task_takes_the_step_with_it(tmp_path: Path, source: str) -> None:
    written = tmp_path / "pids"
    task = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys; from plugins.runtime.local import LocalRuntime; "
            "LocalRuntime([sys.executable, '-S', '-c', os.environ['SOURCE']]).run([], os.environ, print)",
        ],
        env={**os.environ, "PIDS": str(written), "SOURCE": textwrap.dedent(source), "NIGHTSHIFT_KILL_GRACE": "0.3"},
    )
    tree = pids(written)
    task.kill()
    task.wait()
    wait_until(lambda: not [pid for pid in tree if alive(pid)], "no process of the step is left")


@pytest.mark.parametrize("source", [TREE, ESCAPED], ids=["in the group", "left the group"])
def test_what_a_step_leaves_running_is_ended_with_it(tmp_path: Path, source: str) -> None:
    written = tmp_path / "pids"
    outcome = run(source.rpartition("time.sleep(600)")[0], PIDS=str(written))
    assert outcome.exit_code == 0
    assert not [pid for pid in pids(written) if alive(pid)]
