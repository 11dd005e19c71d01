"""Kernels of runs, tables and words say what plain Python says, and all are compiled wherever code can be kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.kernels.runs import runs_of
from tasks.kernels.table import Table
from tasks.text import runs
from tasks.text.tokens import Vocabulary
from tasks.text.words import known, split

ROOT = Path(__file__).parents[2]
SPACES = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())
texts = st.text(st.one_of(st.sampled_from(SPACES + "ab\u00c3\u2027\u3001"), st.characters()), max_size=60)


@given(st.lists(texts, max_size=4))
def test_runs_are_what_split_finds_line_by_line(read: list[str]) -> None:
    table = Table()
    for text in read:
        numbers, counts = runs_of(text, table)
        assert [table.string(number) for number in numbers] == text.split()
        assert counts.tolist() == [len(line.split()) for line in text.split("\n")]


def test_a_text_of_more_words_than_a_table_has_room_for_is_read_whole() -> None:
    table = Table()
    runs_of("a few words first", table)
    text = " ".join(f"word{number * number}" for number in range(5_000))
    numbers, _ = runs_of(text, table)
    assert [table.string(number) for number in numbers] == text.split()
    assert len(table.slots) >= 2 * len(table.hashes)  # what is found in it stays near


def test_every_white_space_parts_and_nothing_else_does() -> None:
    for code in chain(range(0x3100), (0xFEFF, 0x1F600)):
        numbers, _ = runs_of(f"a{chr(code)}b", Table())
        assert len(numbers) == len(f"a{chr(code)}b".split()), hex(code)


def test_a_table_that_grows_forgets_nothing() -> None:
    table = Table()
    words = [f"word{number}" for number in range(20_000)]
    first = table.intern_all(words)
    assert table.intern_all(words[::-1]).tolist() == first[::-1].tolist()
    assert [table.find("word7"), table.find("word20000") < 0, table.size] == [first[7], True, 20_000]


chunks = st.lists(
    st.one_of(
        st.sampled_from([*known("en")]),
        st.from_regex(r"[A-Za-z]{1,6}[.,;:!?)(\"']{0,2}", fullmatch=True),
        st.text(st.sampled_from("ab.,'’0$%-é中"), min_size=1, max_size=6),  # noqa: RUF001
    ),
    max_size=12,
)


@pytest.mark.parametrize("language", ["en", "de"])
@given(first=chunks, then=chunks)
def test_words_are_those_of_the_rules(language: str, first: list[str], then: list[str]) -> None:
    vocabulary = Vocabulary(language)
    vocabulary.read(" ".join(first))  # what is known already is told the same
    read = vocabulary.read(" ".join(then))
    words = [*chain.from_iterable(split(chunk, language) for chunk in then)]
    assert read.lengths.tolist() == [len(word) for word in words]
    assert read.lettered.tolist() == [any(map(str.isalpha, word)) for word in words]
    numbers: dict[str, int] = {}
    alike = [numbers.setdefault(word, number) for word, number in zip(words, read.ids.tolist(), strict=True)]
    assert (alike, len(set(alike))) == (read.ids.tolist(), len(numbers))


PROGRAM = """
from tasks.kernels import table
print(table.Table().intern_all(["a", "b", "a"]).tolist(), sum(table.intern.stats.cache_hits.values()))
"""
POWERLESS = """
import ctypes, os, sys
# No right to do what the mode of a file forbids, which root has: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and _READ_SEARCH.
for power in (1, 2):
    ctypes.CDLL(None).prctl(24, power, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The kernels alone, with nothing compiled, in a folder to itself."""
    shutil.copytree(
        ROOT / "tasks" / "kernels", tmp_path / "tasks" / "kernels", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "tasks" / "__init__.py").write_text("")
    return tmp_path


def ran(copy: Path, program: str = PROGRAM, *, cache: Path | None = None) -> str:
    """What a new process says, that writes nowhere but where modes let it; its user's cache is not there."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_"))},
        "HOME": os.devnull,
        "NUMBA_CPU_NAME": "generic",
        "PYTHONPATH": str(copy),
        **({"NUMBA_CACHE_DIR": str(cache)} if cache else {}),
    }
    command = [sys.executable, "-c", POWERLESS, program]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_code_that_was_shipped_is_used_where_it_can_only_be_read_and_compiled_anew_where_it_does_not_fit(
    copy: Path,
) -> None:
    kernels = copy / "tasks" / "kernels"
    assert ran(copy) == "[0, 1, 0] 0"  # compiled, and kept beside the source
    (kernels / "__pycache__").chmod(0o555)
    assert ran(copy) == "[0, 1, 0] 1"
    with (kernels / "tags.py").open("a") as source:
        source.write("# another version\n")
    assert ran(copy) == "[0, 1, 0] 0"
    cache = copy / "cache"
    # The user's own folder comes first.
    assert (ran(copy, cache=cache), ran(copy, cache=cache)) == ("[0, 1, 0] 0", "[0, 1, 0] 1")


@pytest.mark.slow
def test_kernels_work_where_nothing_can_be_kept(copy: Path) -> None:
    (copy / "tasks" / "kernels").chmod(0o555)
    assert ran(copy) == "[0, 1, 0] 0"
    assert not [*copy.rglob("*.nbc")]


@pytest.mark.slow
@pytest.mark.parametrize("fails", ["saving", "loading"])
def test_kernels_work_where_the_disk_is_full_or_what_is_kept_cannot_be_read(copy: Path, fails: str) -> None:
    if fails == "loading":
        ran(copy)
        for index in (copy / "tasks" / "kernels" / "__pycache__").glob("*.nbi"):
            index.chmod(0)
    full = """
import os
from numba.core import caching
def full(self, data): raise OSError(28, os.strerror(28))
caching.IndexDataCacheFile._save_index = full
"""
    assert ran(copy, (full if fails == "saving" else "") + PROGRAM) == "[0, 1, 0] 0"


@pytest.mark.slow
def test_a_change_of_what_is_compiled_into_a_kernel_compiles_it_anew(copy: Path) -> None:
    read_page = "from tasks.kernels.html import read_page; print(sum(read_page.stats.cache_hits.values()))"
    assert (ran(copy, read_page), ran(copy, read_page)) == ("0", "1")
    tags = copy / "tasks" / "kernels" / "tags.py"
    source = tags.read_text()
    assert "PARAGRAPH,\n) = " in source
    tags.write_text(source.replace("VOID, INLINE,", "INLINE, VOID,", 1))
    assert ran(copy, read_page) == "0"


def test_others_who_compile_keep_their_own_cache(copy: Path) -> None:
    program = """
from numba.core import config
before = config.CACHE_LOCATOR_CLASSES
import tasks.kernels.compiled as compiled
@compiled.kernel("int64(int64)")
def one_more(number):
    return number + 1
print(one_more(1), config.CACHE_LOCATOR_CLASSES == before)
"""
    (copy / "program.py").write_text(program)
    assert ran(copy, "import program") == "2 True"


def test_a_text_that_fails_half_way_spoils_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = runs.Reader()
    before = reader.read("one two").epoch

    def failing(text: str, table: Table) -> None:
        table.intern_all(["half", "learnt"])
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(runs, "runs_of", failing)
        with pytest.raises(MemoryError):
            reader.read("half learnt")
    read = reader.read("three")
    assert (read.epoch > before, read.table.size) == (True, 1)
