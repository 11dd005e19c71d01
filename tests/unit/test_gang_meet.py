"""How the workers of a gang find each other, and whom they let in."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import BadInput, NightshiftError, PeerLost
from tasks.gang.peers import Peer, on_loopback
from tests.gang.gang import IDENTITY, Gang, MakeGang

LOST, BAD = PeerLost.exit_code, BadInput.exit_code


@contextlib.contextmanager
def knocking(gang: Gang, *lines: bytes) -> Iterator[socket.socket]:
    """A stranger at the hub's door, who has said ``lines``."""
    hub = gang.peers[0]
    with socket.create_connection((hub.host, hub.port), timeout=10) as stranger:
        for line in lines:
            with contextlib.suppress(OSError):  # shown out in the middle of a word
                stranger.sendall(line)
        yield stranger


def shown_out(stranger: socket.socket) -> bool:
    try:
        while stranger.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


def hello(**values: Any) -> bytes:
    return json.dumps({"kind": "hello", "worker": 1, "identity": IDENTITY.to_json(), **values}).encode() + b"\n"


def test_a_worker_that_never_comes_is_named_to_those_who_did(make_gang: MakeGang) -> None:
    gang = make_gang(workers=4, rendezvous=1.5).start(0, 2)
    for ended in gang.end():
        assert ended.code == LOST
        missing = f"worker 1 ({gang.peers[1]}), worker 3 ({gang.peers[3]}) have not come within "
        assert missing in ended.error, "the other workers and their addresses"
        assert "2 of 4 workers met" in ended.error


def test_a_hub_that_never_comes_is_named_with_what_was_tried(make_gang: MakeGang) -> None:
    gang = make_gang(rendezvous=1).start(1)
    (ended,) = gang.end()
    assert ended.code == LOST
    assert f"worker 0 is lost: it did not let worker 1 in within 1 s, at {gang.peers[0]}" in ended.error
    assert "Connection refused" in ended.error


def test_workers_may_come_in_any_order(make_gang: MakeGang) -> None:
    gang = make_gang(workers=3).start(2)
    gang.says(2, "looking for the others")
    gang.start(1).says(1, "looking for the others")
    assert [each.code for each in gang.start(0).end()] == [0, 0, 0]


def test_a_name_that_does_not_resolve_yet_is_tried_again(make_gang: MakeGang) -> None:
    gang = make_gang()
    gang.peers = tuple(Peer(f"worker-{i}.gang", peer.port) for i, peer in enumerate(gang.peers))
    gang.start()
    gang.says(1, "looking for the others")
    (gang.folder / "names").touch()
    assert [each.code for each in gang.end()] == [0, 0]


def test_a_name_that_never_resolves_is_an_error_that_says_so(make_gang: MakeGang) -> None:
    gang = make_gang(rendezvous=1)
    gang.peers = tuple(Peer(f"worker-{i}.gang", peer.port) for i, peer in enumerate(gang.peers))
    (ended,) = gang.start(1).end(1)
    assert ended.code == LOST
    assert "worker-0.gang:" in ended.error
    assert "Name or service not known" in ended.error


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"config": "other"}, "the train section of its corpus YAML is another"),
        ({"workers": 3}, "it was started as one of 3 workers, this gang has 2"),
        ({"snapshot": "other"}, "it trains on snapshot other, this gang on snap"),
        ({"run": "other"}, "its run is other, this gang's run: the snapshot's manifest differs"),
        ({"protocol": 99}, "both must be one release"),
        (
            {"code": {"recipe": "r", "version": 1, "libraries": {"keras": "3.14"}}},
            "its code differs: keras is 3.14 there, 3.15.1 here; all workers must run one image",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_worker_of_another_configuration_is_bad_input_for_all(
    make_gang: MakeGang, other: dict[str, Any], words: str
) -> None:
    gang = make_gang().start(0).start(1, **other)
    for ended in gang.end():
        assert ended.code == BAD, ended.log
        assert ended.error == f"BadInput: worker 1 cannot train with this gang: {ended.error.partition('gang: ')[2]}"
        assert words in ended.error


def test_a_worker_of_an_older_generation_is_sent_away_and_the_gang_goes_on(make_gang: MakeGang, tmp_path: Path) -> None:
    gang = make_gang().start(0)
    old = make_gang(rendezvous=1)
    old.peers = gang.peers
    (ended,) = old.start(1, generation="g0", config="other").end()
    assert ended.code == LOST, "its own generation is gone; nothing is wrong with its input"
    assert "it refused this worker: it is of generation g0, and another is meeting here" in ended.error
    assert [each.code for each in gang.start(1).end()] == [0, 0]


def test_a_worker_that_meets_an_older_hub_waits_for_its_own(make_gang: MakeGang) -> None:
    old = make_gang().start(0, generation="g0")
    old.says(0, "looking for the others")
    gang = make_gang(port=50)
    gang.peers = old.peers
    gang.start(1)
    old.says(0, "refused a worker")
    old.close()
    assert [each.code for each in gang.start(0).end()] == [0, 0]


def test_a_worker_that_is_there_already_is_refused_and_the_first_trains_on(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step8": "hold"}).start()
    gang.child(1, "step8")
    second = make_gang()
    second.peers = gang.peers
    (ended,) = second.start(1).end()
    assert ended.code == BAD
    assert "there is a worker 1 already" in ended.error
    gang.release()
    assert [each.code for each in gang.end()] == [0, 0]


STRANGERS = [
    b"",
    b"GET / HTTP/1.1\r\nHost: gang\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 512 + b"\n",
    b"x" * 1_000_000,
    b"[1, 2]\n",
    b"[" * 15_000 + b"\n",
    b'{"kind": "beat"}\n',
    b'{"kind": "hello"}\n',
    b'{"kind": "hello", "worker": 1, "identity": "g1"}\n',
    hello(worker="first"),
    hello(worker=10**30),
    hello(worker=0),
    hello(worker=-1),
    hello(identity={**IDENTITY.to_json(), "code": 7}),
    hello(identity={**IDENTITY.to_json(), "generation": "g0"}),
    hello(identity={**IDENTITY.to_json(), "more": "x"}),
    b'{"kind": "hello", "wor',
]


@pytest.mark.parametrize("when", ["meeting", "training"])
def test_who_is_no_worker_is_shown_out_and_the_gang_goes_on(make_gang: MakeGang, when: str) -> None:
    gang = make_gang({"1.step8": "hold"}).start(0)
    gang.says(0, "looking for the others")
    if when == "training":
        gang.start(1).child(1, "step8")
    for words in STRANGERS:
        with knocking(gang, words) as stranger:
            assert shown_out(stranger), words
    if when == "meeting":
        gang.start(1)
    gang.release()
    assert [each.code for each in gang.end()] == [0, 0]


def test_a_crowd_of_strangers_keeps_nobody_out(make_gang: MakeGang) -> None:
    gang = make_gang(hello=60).start(0)
    gang.says(0, "looking for the others")
    with contextlib.ExitStack() as crowd:
        strangers = [crowd.enter_context(knocking(gang)) for _ in range(100)]
        assert shown_out(strangers[0]), "the oldest makes room"
        assert [each.code for each in gang.start(1).end()] == [0, 0]


def test_a_member_that_talks_without_an_end_is_lost(make_gang: MakeGang) -> None:
    gang = make_gang().start(0)
    gang.says(0, "looking for the others")
    with knocking(gang, hello(), b"x" * 3_000_000) as member:
        assert shown_out(member)
    (ended,) = gang.end(0)
    assert ended.code == LOST
    assert "worker 1 is lost" in ended.error
    assert "a line of more than" in ended.error


@pytest.mark.parametrize(("worker", "above"), [(0, 0), (0, 1), (1, 1)])
def test_a_port_that_something_else_holds_is_named(make_gang: MakeGang, worker: int, above: int) -> None:
    gang = make_gang()
    port = gang.peers[worker].port + above
    with socket.create_server(("127.0.0.1", port)):
        (ended,) = gang.start(worker).end(worker)
    assert ended.code == NightshiftError.exit_code
    assert f"cannot listen on port {port}" in ended.error
    assert f"ss -ltnp 'sport = :{port}'" in ended.error


def test_a_port_that_comes_free_in_time_is_taken(make_gang: MakeGang) -> None:
    gang = make_gang(port=50)
    with socket.create_server(("127.0.0.1", gang.peers[0].port)) as other:
        gang.start()
        held, _ = other.accept()  # worker 1 has come to the wrong door
        held.close()
    assert [each.code for each in gang.end()] == [0, 0]


def test_ports_of_this_machine_come_in_free_pairs() -> None:
    peers = on_loopback(20)
    assert len({port for peer in peers for port in (peer.port, peer.training.port)}) == 40
    for peer in peers:
        for each in (peer, peer.training):
            socket.create_server((each.host, each.port)).close()
