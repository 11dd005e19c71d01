"""``nightshift`` whose mirrored trainings have the scripted child of these tests instead of TensorFlow's."""

from __future__ import annotations

import sys

from tasks.gang import start

if __name__ == "__main__":
    start.child_command = lambda: [sys.executable, "-S", "-m", "tests.gang.child"]
    start.PROGRAM = (sys.executable, "-m", "tests.gang.training")
    from tasks.cli import main

    main()
