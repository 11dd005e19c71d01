"""What a gang keeps on its machine is gone with it, whatever of it is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tasks.gang.scratch import PREFIX, scratch
from tests.gang.gang import TWIN, Gang, MakeGang, wait_until
from tests.unit.test_gang_twin import supervisor_of


def kept(gang: Gang) -> list[Path]:
    """The children's files."""
    return list(gang.scratch.rglob("shard"))


@pytest.mark.parametrize("worker", [0, 1])
def test_kill_9_of_a_child_leaves_none_of_its_files(make_gang: MakeGang, worker: int) -> None:
    gang = make_gang({f"{worker}.step9": "hang"}).start()
    child = gang.child(worker, "step9")
    assert len(kept(gang)) == 2
    os.kill(child, signal.SIGKILL)
    gang.end()
    assert list(gang.scratch.iterdir()) == []


@pytest.mark.parametrize("worker", [0, 1])
def test_the_twin_deletes_what_a_killed_supervisor_left(make_gang: MakeGang, worker: int) -> None:
    gang = make_gang({f"{worker}.step9": "hang"}).start_twin()
    child = gang.child(worker, "step9")
    assert len(kept(gang)) == 2
    os.kill(supervisor_of(child), signal.SIGKILL)
    gang.end(TWIN)
    assert list(gang.scratch.iterdir()) == []


def test_what_a_killed_twin_left_the_next_one_deletes(make_gang: MakeGang) -> None:
    gang = make_gang({"1.step9": "hang"}).start_twin()
    supervisor = supervisor_of(gang.child(1, "step9"))
    gang.signal(TWIN, signal.SIGKILL)
    wait_until(lambda: not gang.leftovers() and not Path(f"/proc/{supervisor}").exists(), "all are dead")
    assert len(kept(gang)) == 2
    with scratch({"TMPDIR": str(gang.scratch)}) as environment:
        assert [str(path) for path in gang.scratch.iterdir()] == [environment["TMPDIR"]]
    assert list(gang.scratch.iterdir()) == []


def test_folders_that_are_in_use_or_anothers_stay(tmp_path: Path) -> None:
    (tmp_path / "training-of-mine").mkdir()
    (tmp_path / f"{PREFIX}a-file").write_text("no folder")
    given = {"TMPDIR": str(tmp_path), "HOME": "/home/of-mine"}
    with scratch(given) as first, scratch(given) as second:
        assert first["HOME"] == "/home/of-mine"
        assert Path(first["TMPDIR"]).is_dir()
        assert Path(second["TMPDIR"]).is_dir()
        assert first["TMPDIR"] != second["TMPDIR"]
    assert {path.name for path in tmp_path.iterdir()} == {"training-of-mine", f"{PREFIX}a-file"}
