"""The line between supervisor and child: bytes to messages, and a child's ways to end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput, PeerLost, Preempted
from tasks.gang.line import Lines, TooLong, encode
from tests.gang.gang import ROOT

MESSAGES = [{"event": "step", "step": 3, "loss": 0.5}, {"a": "ü\n\u2028"}, {"event": "ready"}]


@given(cuts=st.lists(st.integers(0, 200), max_size=8))
def test_messages_come_whole_however_they_were_cut(cuts: list[int]) -> None:
    whole = b"".join(map(encode, MESSAGES))
    lines, heard, last = Lines(), [], 0
    for cut in [*sorted(cuts), len(whole)]:
        heard += lines.feed(whole[last:cut])
        last = max(last, cut)
    assert heard == MESSAGES


def test_empty_lines_are_nothing() -> None:
    assert list(Lines().feed(b"\n \r\n{}\n")) == [{}]


@pytest.mark.parametrize("data", [b"x" * 11, b"x" * 11 + b"\n", b"{}\n" + b"x" * 11])
def test_a_line_has_an_end(data: bytes) -> None:
    with pytest.raises(TooLong):
        list(Lines(10).feed(data))


@pytest.mark.parametrize("line", [b"no", b"[]", b"3", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_no_message(line: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON"):
        list(Lines().feed(line + b"\n"))


class Supervisor:
    """The other end of one child's line."""

    def __init__(self, ours: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.line = ours.makefile("rwb", buffering=0)
        self._socket = ours

    def order(self, order: str) -> None:
        self.line.write(encode({"order": order}))

    def hear(self) -> dict[str, object]:
        return dict(json.loads(self.line.readline()))

    def hang_up(self) -> None:
        self.line.close()
        self._socket.close()


@contextmanager
def child(work: str) -> Iterator[Supervisor]:
    """A process whose ``serve`` runs ``work``, the body of a function of ``line``."""
    source = (
        "import os, sys, time\nfrom tasks.errors import *\nfrom tasks.gang.line import serve\ndef work(line):\n"
        + textwrap.indent(textwrap.dedent(work), "    ")
        + "\nserve(work)"
    )
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", source],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        theirs.close()
        with process:
            try:
                yield Supervisor(ours, process)
            finally:
                process.kill()


def test_what_a_library_prints_is_no_event() -> None:
    with child("print('hello'); os.system('echo there'); return {'a': 1}") as supervisor:
        assert supervisor.hear() == {"event": "done", "payload": {"a": 1}}
        supervisor.order("end")
        assert supervisor.process.wait(60) == 0
        assert supervisor.process.stderr and supervisor.process.stderr.read().split() == [b"hello", b"there"]


def test_a_child_that_is_done_stays_until_nobody_needs_it() -> None:
    with child("return None") as supervisor:
        assert supervisor.hear() == {"event": "done", "payload": None}
        with pytest.raises(subprocess.TimeoutExpired):
            supervisor.process.wait(0.2)
        supervisor.order("end")
        assert supervisor.process.wait(60) == 0


@pytest.mark.parametrize(
    ("error", "code"), [("BadInput('why')", BadInput.exit_code), ("PeerLost('why')", PeerLost.exit_code)]
)
def test_an_error_is_an_event_and_an_exit_code(error: str, code: int) -> None:
    with child(f"raise {error}") as supervisor:
        assert supervisor.hear() == {"event": "error", "type": error.partition("(")[0], "message": "why"}
        assert supervisor.process.wait(60) == code


@pytest.mark.parametrize("error", ["ValueError('why')", "SystemExit('why')", "KeyboardInterrupt('why')"])
def test_a_crash_is_told_with_its_traceback_in_the_log(error: str) -> None:
    with child(f"raise {error}") as supervisor:
        assert supervisor.hear() == {"event": "error", "type": error.partition("(")[0], "message": "why"}
        assert supervisor.process.wait(60) == 1
        assert supervisor.process.stderr and b"Traceback" in supervisor.process.stderr.read()


def test_a_preempted_child_stays_until_worker_0_has_made_the_checkpoint() -> None:
    with child("raise Preempted('after step 9')") as supervisor:
        assert supervisor.hear()["type"] == "Preempted"
        supervisor.order("end")
        assert supervisor.process.wait(60) == Preempted.exit_code


def test_told_to_stop_a_child_sees_it_between_steps_and_other_orders_wait_their_turn() -> None:
    work = """
    line.report("ready")
    while not line.stopping:
        time.sleep(0.001)
    line.report("saved", key=line.wait("restore")["order"])
    """
    with child(work) as supervisor:
        supervisor.hear()
        supervisor.order("stop")
        supervisor.order("restore")
        assert supervisor.hear() == {"event": "saved", "key": "restore"}


def test_sigterm_to_the_child_itself_is_an_order_to_stop() -> None:
    with child("line.report('ready')\nwhile not line.stopping: time.sleep(0.001)\nreturn {}") as supervisor:
        supervisor.hear()
        supervisor.process.send_signal(signal.SIGTERM)
        assert supervisor.hear()["event"] == "done"


def test_an_order_out_of_turn_is_an_error() -> None:
    with child("line.wait('go')") as supervisor:
        supervisor.order("restore")
        assert "waited for the order 'go', was given" in str(supervisor.hear()["message"])


def test_progress_is_told_at_most_a_few_times_a_second_and_the_first_at_once() -> None:
    with child("for step in range(1000): line.progress(step, loss=0.1)\nreturn {}") as supervisor:
        heard = [supervisor.hear()]
        while heard[-1]["event"] != "done":
            heard.append(supervisor.hear())
        assert heard[0] == {"event": "step", "step": 0, "loss": 0.1}
        assert len(heard) < 500


@pytest.mark.parametrize("work", ["time.sleep(600)", "line.wait('go')", "while True: pass"])
def test_a_child_whose_supervisor_is_gone_ends_at_once_whatever_it_does(work: str) -> None:
    with child(
        f"line.report('ready'); {work}" if "while" not in work else f"line.report('ready')\n{work}"
    ) as supervisor:
        supervisor.hear()
        supervisor.hang_up()
        assert supervisor.process.wait(60) == PeerLost.exit_code


def test_a_report_to_nobody_ends_the_child() -> None:
    work = "os.close(0); line.report('ready')\nwhile True: line.report('alive', doing='x' * 1000)"
    with child(work) as supervisor:
        supervisor.hear()
        supervisor.hang_up()
        assert supervisor.process.wait(60) == PeerLost.exit_code


def test_asked_where_it_is_a_child_writes_its_stacks_and_goes_on() -> None:
    with child("line.report('ready'); line.wait('go'); return {}") as supervisor:
        supervisor.hear()
        supervisor.process.send_signal(signal.SIGUSR1)
        supervisor.order("go")
        assert supervisor.hear()["event"] == "done"
        supervisor.order("end")
        assert supervisor.process.wait(60) == 0
        assert supervisor.process.stderr and b"in work" in supervisor.process.stderr.read()


def test_it_imports_nothing_heavy() -> None:
    source = "import sys, tasks.gang.line; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-S", "-c", source], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name.partition(".")[0] for name in out.stdout.split()}
    assert not loaded & {"tensorflow", "numpy", "pydantic", "structlog", "click", "pyarrow", "asyncio"}
