"""A corpus file: what is read, and what each kind of fault says."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.config import load_corpora, load_corpus
from tasks.errors import BadInput

GOOD = """
corpus: docs
source:
  live: {files: {path: /data/*.jsonl}}
train:
  recipe: tfidf_forest
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """``write(text)``: the path of docs.yaml with that text."""

    def build(text: str) -> Path:
        path = tmp_path / "docs.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return build


def faults(path: Path, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load_corpus(path, env or {})
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_the_smallest_corpus_has_every_default(write: Callable[[str], Path]) -> None:
    corpus = load_corpus(write(GOOD), {})
    assert corpus.corpus == "docs"
    assert corpus.split.strategy.name == "hash"
    assert corpus.train.near is not None
    assert corpus.schedule is None


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        # a wrong key, at every depth
        ("trian: {}", "trian: no such key; did you mean train? known: "),
        ("split: {seeds: 1}", "split.seeds: no such key; did you mean seed? known: ratios, seed, strategy"),
        ("upload: {zzz: 1}", "upload.zzz: no such key; known: verify"),
        (
            "split: {strategy: {kfold: {flods: 4}}}",
            "split.strategy.kfold.flods: no such key; did you mean folds? known: fold, folds",
        ),
        ("split: {strategy: {hash: {x: 1}}}", "split.strategy.hash.x: no such key; there is nothing to set"),
        # a wrong type
        (
            "clean: {shards: many}",
            "clean.shards: Input should be a valid integer, unable to parse string as an integer",
        ),
        ("clean: []", "clean: Input should be a valid dictionary or instance of Clean; got []"),
        ("clean: {filters: length}", "clean.filters: Input should be a valid tuple; got 'length'"),
        (
            "clean: {document_timeout: 10}",
            "clean.document_timeout: expected a number and a unit, as in 90s or 2h; got 10",
        ),
        ("clean: {document_bytes: 10 megabytes}", "clean.document_bytes: expected a number and a unit: B, KB,"),
        ("owner:", "owner: Input should be a valid string; got None"),
        ("description: 12", "description: Input should be a valid string; got 12"),
        ("schedule: {start: soon}", "schedule.start: Input should be a valid date"),
        ("resources: {timeout: 0s}", "resources.timeout: Input should be greater than 0"),
        ("notifications: [{webhook: foo}]", "notifications.0.webhook: String should match pattern"),
        ("clean: {filters: [language: {keep: [english]}]}", "clean.filters.0.language.keep.0: String should match"),
        ("schedule: {cron: 0 0 30 2 *}", "schedule.cron: never fires"),
        # a wrong reference
        ("split: {strategy: random}", "split.strategy: unknown split strategy 'random'; known: group, hash, kfold,"),
        ("clean: {filters: [length, spam]}", "clean.filters.1: unknown filter 'spam'; known: "),
        (
            "clean: {filters: [{length: {}, c4: {}}]}",
            "clean.filters.0: expected a name, or one name with its parameters",
        ),
        ("train: {recipe: tfidf_florest}", "train.recipe: unknown recipe 'tfidf_florest'; known: "),
        ("train: {recipe: {text_encoder: {epoch: 2}}}", "train.recipe.text_encoder.epoch: no such key; did you mean"),
        ("split: {strategy: base}", "split.strategy: unknown split strategy 'base'; known: "),
        ("runtime: nomad", "runtime: Input should be 'local' or 'kubernetes'; got 'nomad'"),
        ("schedule: {timezone: Mars/Base}", "schedule.timezone: not a time zone: expected a name as in UTC"),
        # out of range
        ("clean: {shards: 0}", "clean.shards: Input should be greater than or equal to 1; got 0"),
        ("train: {recipe: tfidf_forest, near: {threshold: 1.5}}", "train.near.threshold: Input should be less than or"),
        ("split: {strategy: {kfold: {folds: 2}}}", "split.strategy.kfold.folds: Input should be greater than or equal"),
        ("split: {strategy: {kfold: {fold: 9}}}", "split.strategy.kfold: fold 9 of 5 folds: expected 0 to 4"),
        ("split: {ratios: {train: .nan, validation: 0.5, test: 0.5}}", "split.ratios.train: Input should be a finite"),
        ("split: {ratios: {train: 0.9, validation: 0.9, test: 0.1}}", "split.ratios: ratios (0.9, 0.9, 0.1) must be"),
        ("clean: {document_timeout: 99999999999999d}", "clean.document_timeout: longer than there is time"),
        # wrong text in a value
        ("clean: {strip: [{pattern: '('}]}", "clean.strip.0.pattern: not a regular expression: "),
        ("clean: {labels: [{pattern: '/a/'}]}", "clean.labels.0: give either `label`, or a group (?P<label>"),
        ("schedule: {cron: every night}", "schedule.cron: expected five fields"),
        ("schedule: {retrain: sometimes}", "schedule.retrain: expected five fields"),
        # a night that would start on the next day
        (
            "schedule: {cron: 30 22 * * *, delay: 2h}",
            "schedule: cron '30 22 * * *' last fires 22h30m after midnight, and with delay 2h00m its run starts when "
            "its day is over: expected a delay under 1h30m, or an earlier cron",
        ),
        ("schedule: {cron: 0 */6 * * *, delay: 6h}", "schedule: cron '0 */6 * * *' last fires 18h00m after midnight"),
        ("schedule: {delay: 1d}", "schedule: cron '0 0 * * *' last fires 0h00m after midnight, and with delay 24h00m"),
    ],
)
def test_a_fault_names_key_bad_value_and_what_is_allowed(
    write: Callable[[str], Path], section: str, fault: str
) -> None:
    key = section.split(":")[0]
    text = GOOD if key != "train" else GOOD.replace("train:\n  recipe: tfidf_forest\n", "")
    (line,) = faults(write(f"{text}{section}\n"))
    assert line.startswith(fault)


def test_a_missing_key_is_named(write: Callable[[str], Path]) -> None:
    assert faults(write("corpus: docs\nsource: {live: {files: {path: a}}}\ntrain: {}\n")) == [
        "train.recipe: is required"
    ]


def test_every_fault_has_a_line(write: Callable[[str], Path]) -> None:
    lines = faults(write(GOOD + "clean: {shards: 0, exraction: fast}\nsplit: {strategy: {kfold: {fold: -1, n: 1}}}\n"))
    assert [line.split(":")[0] for line in lines] == [
        "clean.shards",
        "clean.exraction",
        "split.strategy.kfold.fold",
        "split.strategy.kfold.n",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "expected a mapping with the keys of a corpus, as in docs.yaml; the file is empty"),
        ("- a\n- b\n", "expected a mapping with the keys of a corpus, as in docs.yaml; found list"),
        ("corpus: docs\n  source: x\n", "not valid YAML: line 2, column 9: mapping values are not allowed"),
        ("corpus: [docs\n", "not valid YAML: line 2, column 1: did not find expected"),
        ("corpus: docs\n\tsource: x\n", "not valid YAML: line 2, column 1: found a tab character"),
        (f"{GOOD}corpus: docs2\n", "not valid YAML: line 7, column 1: key 'corpus' stands twice"),
        ("split: {seed: 1, seed: 2}", "not valid YAML: line 1, column 18: key 'seed' stands twice"),
        (f"{GOOD}---\n{GOOD}", "not valid YAML: line 7, column 1: but found another document"),
        ("corpus: !!python/object/apply:os.system [id]", "not valid YAML: line 1, column 9: could not determine a con"),
        ("corpus: !!bool perhaps", "not valid YAML: 'perhaps' does not fit its tag"),
        ("corpus: !!timestamp 2026-13-45", "not valid YAML: month must be in 1..12"),
        ("corpus: *nothing", "not valid YAML: line 1, column 9: found undefined alias"),
        ("? [a]\n: b\n", "not valid YAML: line 1, column 3: found unhashable key"),
        ("corpus: \x07", "not valid YAML: unacceptable character #x0007"),
        ("corpus: &a [*a]", "no end of values below corpus.0.0: does an alias contain itself?"),
        ("- " * 100_000, "not valid YAML: nested over 50 deep"),
    ],
)
def test_a_file_that_is_no_corpus_says_where(write: Callable[[str], Path], text: str, fault: str) -> None:
    (line,) = faults(write(text))
    assert line.startswith(fault)


def test_a_file_of_aliases_to_aliases_is_refused_before_it_fills_the_memory(write: Callable[[str], Path]) -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    (line,) = faults(write("\n".join(lines)))
    assert line.startswith("no end of values below a")
    assert time.monotonic() - started < 5


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert faults(tmp_path / "docs.yaml")[0].startswith("cannot be read: ")
    (tmp_path / "docs.yaml").write_bytes(b"corpus: \xff")
    assert faults(tmp_path / "docs.yaml")[0].startswith("cannot be read: ")


def test_the_corpus_is_named_as_its_file(write: Callable[[str], Path]) -> None:
    assert faults(write(GOOD.replace("docs", "news"))) == ["corpus: 'news' must be the file's stem, 'docs'"]


def test_words_stay_words(write: Callable[[str], Path]) -> None:
    # Under YAML 1.1 `no` (Norwegian) and the key `on` would be booleans.
    corpus = load_corpus(
        write(
            GOOD + "gates: {clean: {languages: [en, no]}}\n"
            "notifications: [{webhook: 'http://hook', on: [failure]}]\nschedule: {start: 2026-11-01}\n"
        ),
        {},
    )
    assert corpus.gates.clean.languages == ("en", "no")
    assert corpus.notifications[0].on == ("failure",)
    assert corpus.schedule is not None
    assert corpus.schedule.start.isoformat() == "2026-11-01"


@pytest.mark.parametrize("schedule", ["{cron: 30 22 * * *, delay: 89m}", "{cron: 0 */6 * * *, delay: 5h}", "{}"])
def test_a_delay_that_ends_on_its_own_day_is_taken(write: Callable[[str], Path], schedule: str) -> None:
    assert load_corpus(write(f"{GOOD}schedule: {schedule}\n"), {}).schedule is not None


def test_anchors_and_merges_work(write: Callable[[str], Path]) -> None:
    corpus = load_corpus(
        write(GOOD + "  near: &near {threshold: 0.7, ngram: 3}\nclean: {dedup: {near: {<<: *near, ngram: 4}}}\n"), {}
    )
    assert corpus.clean.dedup.near is not None
    assert (corpus.clean.dedup.near.threshold, corpus.clean.dedup.near.ngram) == (0.7, 4)


@pytest.mark.parametrize(
    ("written", "env", "value"),
    [
        ("${WHO}", {"WHO": "team"}, "team"),
        ("the ${WHO} of ${WHAT:-nothing}", {"WHO": "team"}, "the team of nothing"),
        ("${WHO:-nobody}", {"WHO": "team"}, "team"),
        ("${WHO:-nobody}", {"WHO": ""}, "nobody"),
        ("${WHO}", {"WHO": ""}, ""),
        ("${WHO:-}", {}, ""),
        ("$${WHO}", {"WHO": "team"}, "${WHO}"),
        ("^a$|b{2}$", {}, "^a$|b{2}$"),
    ],
)
def test_variables_are_replaced_as_in_a_shell(
    write: Callable[[str], Path], written: str, env: dict[str, str], value: str
) -> None:
    assert load_corpus(write(f"{GOOD}owner: '{written}'\n"), env).owner == value


def test_a_variable_gives_numbers_and_sizes_too(write: Callable[[str], Path]) -> None:
    env = {"SHARDS": "8", "LIMIT": "1048576", "WAIT": "5m"}
    text = GOOD + 'clean: {shards: "${SHARDS}", document_bytes: "${LIMIT}", document_timeout: "${WAIT}"}\n'
    clean = load_corpus(write(text), env).clean
    assert (clean.shards, clean.document_bytes, clean.document_timeout.total_seconds()) == (8, 1 << 20, 300)


def test_a_missing_variable_is_named_with_its_key(write: Callable[[str], Path]) -> None:
    text = GOOD + "notifications: [{webhook: '${HOOK}'}]\n"
    assert faults(write(text)) == ["notifications.0.webhook: environment variable HOOK is not set and has no default"]


@pytest.mark.parametrize("written", ["${who}", "${WHO", "${}", "${1}", "${WHO-x}"])
def test_what_looks_like_a_variable_and_is_none_is_a_fault(write: Callable[[str], Path], written: str) -> None:
    (line,) = faults(write(f"{GOOD}owner: '{written}'\n"), {"WHO": "team"})
    assert line.startswith(f"owner: {written!r} names no environment variable: expected ${{NAME}} or ")


def test_a_fault_shows_the_variable_and_not_the_secret_in_it(write: Callable[[str], Path]) -> None:
    (line,) = faults(write(GOOD + "clean: {document_timeout: '${SECRET}'}\n"), {"SECRET": "hunter2"})
    assert line.endswith("got '${SECRET}'")
    assert "hunter2" not in line


def test_one_bad_file_does_not_hide_the_good_ones(tmp_path: Path) -> None:
    (tmp_path / "docs.yaml").write_text(GOOD)
    (tmp_path / "news.yaml").write_text(GOOD.replace("docs", "news").replace("tfidf_forest", "none"))
    (tmp_path / "loop.yaml").write_text("corpus: &a [*a]")
    (tmp_path / "wiki.yml").write_text(GOOD.replace("docs", "wiki"))
    (tmp_path / "notes.txt").write_text("nothing")
    good, bad = load_corpora(tmp_path, {})
    assert list(good) == ["docs"]
    assert [path.name for path in bad] == ["loop.yaml", "news.yaml", "wiki.yml"]
    assert bad[tmp_path / "wiki.yml"].endswith("is not read: name it wiki.yaml")
    assert "train.recipe: unknown recipe 'none'; known: " in bad[tmp_path / "news.yaml"]


def test_a_missing_folder_of_corpora_is_a_fault(tmp_path: Path) -> None:
    good, bad = load_corpora(tmp_path / "nowhere", {})
    assert good == {}
    assert "NIGHTSHIFT_CORPORA" in bad[tmp_path / "nowhere"]


def test_equal_meaning_has_an_equal_digest(write: Callable[[str], Path]) -> None:
    plain = load_corpus(write(GOOD), {})
    spelt = load_corpus(write(GOOD + "clean: {document_timeout: 10000ms, document_bytes: 10000KB}\n"), {})
    other = load_corpus(write(GOOD + "clean: {shards: 5}\n"), {})
    assert plain.digest() == spelt.digest()
    assert plain.clean.digest() != other.clean.digest()


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("{recipe: tfidf_forest, label: topic}", "train.label: Input should be 'label', 'language' or 'group'"),
        ("{recipe: tfidf_forest, slices: [url]}", "train.slices.0: Input should be 'language', 'group' or 'length'"),
        ("{recipe: tfidf_forest, merge: average}", "tfidf_forest can be merged by union or vote only"),
        ("{recipe: logistic, merge: union}", "logistic can be merged by average or vote only"),
        ("{recipe: tfidf_forest, warm_start: true}", "warm_start: tfidf_forest is sharded"),
        ("{recipe: text_encoder, freeze: [embedding]}", "freeze ['embedding']: layers are frozen as the champion has"),
        ("{recipe: tfidf_forest, freeze: [embedding]}", "without warm_start nothing is taken of it"),
    ],
)
def test_what_a_recipe_cannot_is_refused_when_the_file_is_read(
    write: Callable[[str], Path], train: str, expected: str
) -> None:
    path = write(GOOD.replace("train:\n  recipe: tfidf_forest", f"train: {train}"))
    with pytest.raises(BadInput) as error:
        load_corpus(path, {})
    assert expected in str(error.value)
