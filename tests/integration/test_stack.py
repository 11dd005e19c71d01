"""The parts of the embedded stack, each as the real process that it is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from containers.embedded.claim import Claim
from containers.embedded.ports import LOOPBACK, hand_on, is_free, pick, pick_many
from containers.embedded.service import Process, Service
from containers.embedded.settings import PORTS, recall, settle
from containers.embedded.stack import Stack
from tasks.errors import BadInput, NightshiftError
from tasks.store import open_store

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
DEADLINE = 30.0
SERVER = """
    import http.server, os, subprocess, sys
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    print("pids", os.getpid(), child.pid, flush=True)
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


def wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"still not so after {DEADLINE:.0f} s: {what}"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(log: Path) -> list[int]:
    """What the test's server wrote of itself and its child."""
    wait_until(lambda: log.exists() and "pids" in log.read_text(), "the server runs")
    return [int(pid) for pid in log.read_text().split("pids")[1].split()[:2]]


def server(log: Path, port: int, source: str = SERVER, deadline: float = DEADLINE) -> Service:
    command = [sys.executable, "-c", textwrap.dedent(source), str(port)]
    return Service(
        "the server", command, log=log, env=os.environ, ready=lambda: not is_free(port), deadline=deadline, grace=0.5
    )


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        yield int(other.getsockname()[1])


def test_a_port_in_use_is_replaced_by_a_free_one() -> None:
    with taken() as port:
        assert pick(port) != port
        assert is_free(pick(port))


def test_a_port_is_given_once_and_never_one_that_a_connection_could_take() -> None:
    # The S3 server's own ports are chosen while the port of its API was chosen before and nobody listens there yet.
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [pick() for _ in range(1000)] + pick_many(1000)
    assert len(set(ports)) == len(ports)
    assert max(ports) < low


def test_a_port_is_one_process_until_that_ends_or_hands_it_on() -> None:
    source = "import sys; from containers.embedded.ports import pick; print(pick(int(sys.argv[1])))"

    def picked_elsewhere(wished: int) -> int:
        other = subprocess.run(
            [sys.executable, "-c", source, str(wished)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            check=True,
        )
        return int(other.stdout)

    port = pick()
    other = picked_elsewhere(port)
    assert other != port, "nobody listens there yet, but somebody will"
    assert pick(other) == other, "who had it is gone"
    hand_on([port])
    assert picked_elsewhere(port) == port


def test_the_ports_wished_for_in_the_environment_are_taken(tmp_path: Path) -> None:
    wished = dict(zip(PORTS, pick_many(len(PORTS)), strict=True))
    settings = settle(tmp_path, {PORTS[name][0]: str(port) for name, port in wished.items()})
    assert settings.ports == wished


def test_the_next_start_has_the_same_ports_and_secrets(tmp_path: Path) -> None:
    wished = dict(zip(PORTS, pick_many(len(PORTS)), strict=True))
    first = settle(tmp_path, {PORTS[name][0]: str(port) for name, port in wished.items()})
    assert settle(tmp_path, {}) == first == recall(tmp_path)


def test_a_port_that_was_taken_meanwhile_is_given_up(tmp_path: Path) -> None:
    with taken() as port:
        settings = settle(tmp_path, {"NIGHTSHIFT_S3_PORT": str(port)})
    assert settings.ports["s3"] != port
    assert len(set(settings.ports.values())) == len(PORTS)


@pytest.mark.parametrize("given", ["x", "80 80", "0", "65536", "-1", "8080.0"])
def test_what_is_no_port_is_bad_input_that_names_the_variable(tmp_path: Path, given: str) -> None:
    with pytest.raises(BadInput, match=f"NIGHTSHIFT_AIRFLOW_PORT='{given}': expected a port, 1 to 65535"):
        settle(tmp_path, {"NIGHTSHIFT_AIRFLOW_PORT": given})


@pytest.mark.parametrize("command", ["demo", "up"])
def test_a_command_says_what_is_wrong_with_a_port(tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "containers.embedded", command, f"--home={tmp_path}"],
        env={**os.environ, "NIGHTSHIFT_AIRFLOW_PORT": "x"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "NIGHTSHIFT_AIRFLOW_PORT='x'" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_secrets_are_for_their_owner_alone_and_new_for_each_stack(tmp_path: Path) -> None:
    one, other = settle(tmp_path / "one", {}), settle(tmp_path / "other", {})
    assert stat.S_IMODE((tmp_path / "one" / "settings.json").stat().st_mode) == 0o600
    assert not set(one.secrets.values()) & set(other.secrets.values())


def test_stopping_a_service_ends_what_it_started_too(tmp_path: Path) -> None:
    with server(tmp_path / "log", pick()):
        tree = pids(tmp_path / "log")
        assert all(map(alive, tree))
    assert not [pid for pid in tree if alive(pid)]


def test_a_stop_is_an_end_even_of_a_service_that_never_answered(tmp_path: Path) -> None:
    service = server(tmp_path / "log", pick(), "import time; print('pids', 1, 1, flush=True); time.sleep(600)")
    service.start()
    pids(tmp_path / "log")
    service.stop()
    assert not service.running
    service.stop()


def test_a_service_that_dies_at_its_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(NightshiftError, match=r"(?s)the server ended while it started.*no such database"):
        server(tmp_path / "log", pick(), "raise SystemExit('no such database')").__enter__()


def test_of_services_that_need_each_other_the_one_that_died_is_reported(tmp_path: Path) -> None:
    log = tmp_path / "other.log"
    other = Process("the other", [sys.executable, "-c", "raise SystemExit('no database')"], log=log, env=os.environ)
    silent = server(tmp_path / "log", pick(), "import time; print('pids', 1, 1, flush=True); time.sleep(600)")
    other.start()
    silent.start()
    try:
        with pytest.raises(NightshiftError, match=r"(?s)the other ended while it started.*no database"):
            silent.wait(beside=[silent, other])
    finally:
        silent.stop()
        other.stop()


def test_a_service_that_died_after_the_start_is_reported(tmp_path: Path) -> None:
    stack = Stack(tmp_path, corpora=tmp_path)
    stack.require_all()
    stack.mlflow = server(tmp_path / "log", pick(), "raise SystemExit('address already in use')")
    stack.mlflow.start()
    wait_until(lambda: stack.mlflow.ended, "the server is gone")
    with pytest.raises(NightshiftError, match=r"(?s)the server has ended; .*address already in use"):
        stack.require_all()


def test_a_service_that_never_answers_is_reported_and_stopped(tmp_path: Path) -> None:
    silent = "import os, time; print('pids', os.getpid(), os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(NightshiftError, match="the server did not answer within 2 s"):
        server(tmp_path / "log", pick(), silent, deadline=2).__enter__()
    assert not alive(pids(tmp_path / "log")[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_no_process_outlives_the_one_that_started_the_service(tmp_path: Path, number: signal.Signals) -> None:
    log, port = tmp_path / "log", pick()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import os, signal, sys
                from pathlib import Path
                from containers.embedded.service import Service
                # Ignored from the start where a shell runs the tests in the background.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                log, source, port = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
                command = [sys.executable, "-c", source, port]
                Service("the server", command, log=log, env=os.environ, ready=lambda: True, grace=0.5).start()
                signal.pause()
                """
            ),
            str(log),
            textwrap.dedent(SERVER),
            str(port),
        ],
        cwd=Path(__file__).parents[2],
    )
    tree = pids(log)
    holder.send_signal(number)
    holder.wait(DEADLINE)
    wait_until(lambda: not [pid for pid in tree if alive(pid)], "the service is gone")


def test_a_stack_is_run_by_one_process_at_a_time(tmp_path: Path) -> None:
    first = Claim(tmp_path)
    first.take()
    with pytest.raises(NightshiftError, match=f"run by process {os.getpid()} already.*make down"):
        Claim(tmp_path).take()
    assert (Claim(tmp_path).holder(), Claim(tmp_path).is_free()) == (os.getpid(), False)
    first.leave()
    assert (Claim(tmp_path).holder(), Claim(tmp_path).is_free()) == (None, True)
    Claim(tmp_path).take()


def test_a_stack_is_not_started_while_servers_of_a_killed_one_still_end(tmp_path: Path) -> None:
    log, port = tmp_path / "log", pick()
    # It takes its time to end, as a store does that writes back what it holds.
    slow = "import signal; signal.signal(signal.SIGTERM, lambda *_: None)\n" + textwrap.dedent(SERVER)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import os, signal, sys
                from pathlib import Path
                from containers.embedded.claim import Claim
                from containers.embedded.service import Service
                home, source, port = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
                command = [sys.executable, "-c", source, port]
                service = Service("a", command, log=home / "log", env=os.environ, ready=lambda: True, grace=2)
                service.start(claim=Claim(home).take())
                signal.pause()
                """
            ),
            str(tmp_path),
            slow,
            str(port),
        ],
        cwd=Path(__file__).parents[2],
    )
    tree = pids(log)
    holder.kill()
    holder.wait()
    claim = Claim(tmp_path)
    assert claim.holder() is None, "who held it is gone"
    assert not claim.is_free(), "what it started is not"
    claim.take()
    assert not [pid for pid in tree if alive(pid)]


def test_the_s3_server_refuses_who_does_not_know_the_secret(s3_env: dict[str, str]) -> None:
    open_store("s3://mine", s3_env).write("key", b"value")
    with pytest.raises(Exception, match="refuses"):
        open_store("s3://mine", {**s3_env, "AWS_SECRET_ACCESS_KEY": "guess"}).read("key")


def test_the_s3_server_keeps_what_it_was_given_when_it_is_killed(tmp_path: Path) -> None:
    from containers.embedded.seaweedfs import s3_environment, seaweedfs

    port = pick()
    env = {**os.environ, **s3_environment(port, "access", "secret")}
    for killed in (True, False):
        service = seaweedfs(tmp_path / "s3", port=port, access_key="access", secret_key="secret", log=tmp_path / "log")
        service.start()
        service.wait()
        try:
            store = open_store("s3://bucket", env)
            if killed:
                store.write("before", b"kept" * 1000)
                service.kill()
                wait_until(lambda: is_free(port), "the killed server is gone")
            else:
                assert store.read("before") == b"kept" * 1000
        finally:
            service.stop()


def test_the_s3_server_runs_in_a_folder_that_lies_deep_and_leaves_nothing_elsewhere(tmp_path: Path) -> None:
    from containers.embedded.seaweedfs import s3_environment, seaweedfs

    port, folder = pick(), tmp_path / ("a folder, named " + "x" * 60) / ("y" * 60)
    before = set(Path("/tmp").glob("seaweedfs-*"))
    with seaweedfs(folder, port=port, access_key="access", secret_key="secret", log=tmp_path / "log"):
        store = open_store("s3://bucket", {**os.environ, **s3_environment(port, "access", "secret")})
        store.write("key", b"value")
        mine = {path for path in Path("/tmp").glob("seaweedfs-*") if path not in before and str(port) in path.name}
    assert not [path for path in mine if path.exists()]


def test_nothing_of_the_s3_server_listens_beyond_loopback(s3_server: dict[str, str], s3_env: dict[str, str]) -> None:
    port = int(s3_server["AWS_ENDPOINT_URL"].rpartition(":")[2])
    owners = {line["inode"] for line in _listening() if line["port"] == port}
    server_pid = next(pid for pid in _pids() if owners & _sockets(pid))
    assert {line["address"] for line in _listening() if line["inode"] in _sockets(server_pid)} == {"0100007F"}


def _listening() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:] + _wildcard6():
        columns = line.split()
        address, port = columns[1].split(":")
        if columns[3] == "0A":
            found.append({"address": address, "port": int(port, 16), "inode": columns[9]})
    return found


def _wildcard6() -> list[str]:
    table = Path("/proc/net/tcp6")
    return table.read_text().splitlines()[1:] if table.exists() else []


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _sockets(pid: int) -> set[object]:
    found: set[object] = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def test_what_the_stack_wrote_down_holds_no_secret_but_in_its_own_file(tmp_path: Path) -> None:
    settings = settle(tmp_path, {})
    assert json.loads((tmp_path / "settings.json").read_text())["secrets"] == dict(settings.secrets)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
