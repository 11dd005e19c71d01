"""The processes of the stack: started, waited for, stopped as whole trees."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tasks.errors import NightshiftError

# The guard ends the whole process tree when this process goes, however suddenly.
GUARD = Path(__file__).parents[2] / "plugins" / "runtime" / "guard.py"
TAIL_LINES = 15
POLL = 0.1


class Process:
    """A command under a guard, in ``folder`` if one is given, its output in ``log``.

    A stop asks first, forces the rest of the tree after ``grace`` seconds, and removes ``litter``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        grace: float = 10.0,
        folder: Path | None = None,
        litter: Sequence[Path] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = {**env, "NIGHTSHIFT_KILL_GRACE": str(grace)}
        self._folder = folder
        self._litter = tuple(litter)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, claim: int | None = None) -> None:
        """Start the process. Its guard holds the file descriptor ``claim`` until the whole tree is gone."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), *self._command],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                env=self._env,
                cwd=self._folder,
                start_new_session=True,
                pass_fds=() if claim is None else (claim,),
            )

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def ended(self) -> bool:
        """Whether it was started here and is no more."""
        return self._process is not None and self._process.poll() is not None

    def stop(self) -> None:
        """End the whole tree: asked first, forced after the guard's grace."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        for path in self._litter:
            path.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it as a crash would: the guard dies, and the kernel takes the service with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def tail(self) -> str:
        """The end of its log, as an error message shows it."""
        lines = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if self.log.exists() else []
        return f"the end of {self.log}:\n" + "\n".join(lines)


class Job(Process):
    """A process that does something and ends by itself."""

    def finish(self) -> None:
        """Block until it ends.

        Raises:
            NightshiftError: it failed; with the end of its log.
        """
        if self._process is not None and (code := self._process.wait()):
            raise NightshiftError(f"{self.name} failed with exit code {code}; {self.tail()}")


class Service(Process):
    """A server. ``ready`` tells whether it answers; it is polled until ``deadline`` seconds have passed."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str],
        ready: Callable[[], bool],
        deadline: float = 90.0,
        grace: float = 10.0,
        folder: Path | None = None,
        litter: Sequence[Path] = (),
    ) -> None:
        super().__init__(name, command, log=log, env=env, grace=grace, folder=folder, litter=litter)
        self._ready = ready
        self._deadline = deadline

    def wait(self, beside: Sequence[Process] = ()) -> None:
        """Block until the service answers; it needs those ``beside`` it to do so.

        Raises:
            NightshiftError: one of them ended, or it did not answer in time; with the end of its log.
        """
        end = time.monotonic() + self._deadline
        while not self._ready():
            for each in (self, *beside):
                if not each.running:
                    raise NightshiftError(f"{each.name} ended while it started; {each.tail()}")
            if time.monotonic() > end:
                raise NightshiftError(f"{self.name} did not answer within {self._deadline:.0f} s; {self.tail()}")
            time.sleep(POLL)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
