"""The order of visits is fixed by the site, not by who answers first."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tasks.sources.web.frontier import Frontier
from tasks.sources.web.journal import Base, Head, Journal, Start, line_of
from tasks.sources.web.outcome import Found, Outcome, Task
from tasks.store import Store

HOSTS = ("a.test", "b.test", "c.test")


def site(pages: int, chance: random.Random) -> dict[str, list[str]]:
    """A random site over several hosts, reachable from its first page."""
    urls = [f"http://{chance.choice(HOSTS)}/{n}" for n in range(pages)]
    graph = {url: [chance.choice(urls) for _ in range(4)] for url in urls}
    for n in range(1, pages):
        graph[urls[n // 3]].append(urls[n])
    return graph


def end(task: Task, graph: dict[str, list[str]]) -> Outcome:
    return Outcome(
        task.url, task.kind, task.round, task.rank, task.depth, task.hops, "page", links=tuple(graph[task.url])
    )


def walk(frontier: Frontier, graph: dict[str, list[str]], chance: random.Random, *, stop: int = 10**9) -> list[Outcome]:
    """Visit everything, at most four at a time, ending visits in random order."""
    ended: list[Outcome] = []
    going: list[Task] = []
    while len(ended) < stop:
        while len(going) < 4 and (task := frontier.next(2)):
            going.append(task)
        if not going:
            assert not frontier.more()
            break
        outcome = end(going.pop(chance.randrange(len(going))), graph)
        frontier.finish(outcome, "2026-11-20")
        ended.append(outcome)
    return ended


def start(folder: Path, name: str, first: str, budget: int = 10**6) -> Frontier:
    frontier = Frontier(folder / name, page_budget=budget)
    frontier.seed([Found(first)])
    return frontier


def test_a_page_budget_reaches_the_same_urls_whatever_the_order_of_answers(tmp_path: Path) -> None:
    graph = site(300, random.Random(1))
    first = next(iter(graph))
    reached = [
        {o.url for o in walk(start(tmp_path, f"{seed}", first, 60), graph, random.Random(seed))} for seed in range(6)
    ]
    assert len(reached[0]) == 60
    assert all(one == reached[0] for one in reached)


def test_a_replayed_crawl_ends_with_the_same_state(tmp_path: Path) -> None:
    graph = site(200, random.Random(2))
    first = next(iter(graph))
    whole = start(tmp_path, "whole", first, 90)
    walk(whole, graph, random.Random(0))
    for seed in range(6):
        chance = random.Random(seed)
        committed = walk(start(tmp_path, f"dead{seed}", first, 90), graph, chance, stop=chance.randrange(1, 90))
        again = start(tmp_path, f"again{seed}", first, 90)
        for outcome in committed:
            again.finish(Outcome.from_json(outcome.to_json()), "2026-11-20")
        rest = walk(again, graph, chance)
        assert not {o.url for o in rest} & {o.url for o in committed}
        assert list(again.known(forget=7)) == list(whole.known(forget=7))


def test_hosts_take_turns_and_none_is_visited_by_more_than_its_share(tmp_path: Path) -> None:
    frontier = Frontier(tmp_path / "f", page_budget=100)
    frontier.seed([Found(f"http://{host}/{n}") for host in HOSTS for n in range(5)])
    tasks = [frontier.next(2) for _ in range(7)]
    hosts = [task.url.split("/")[2] for task in tasks if task]
    assert sorted(hosts) == sorted(HOSTS * 2)
    assert tasks[-1] is None and frontier.more()


def test_a_url_that_is_tried_again_waits_for_the_others_and_keeps_its_rank(tmp_path: Path) -> None:
    frontier = Frontier(tmp_path / "f", page_budget=100)
    frontier.seed([Found(f"http://a.test/{n}") for n in range(3)])
    first = frontier.next(1)
    assert first is not None
    frontier.retry(first.url)
    order = []
    while task := frontier.next(1):
        order.append(task)
        frontier.finish(end(task, {task.url: []}), "2026-11-20")
    assert [task.url[-1] for task in order] == ["1", "2", "0"]
    assert order[-1] == first


def test_what_was_never_seen_comes_before_what_was_seen_longest_ago(tmp_path: Path) -> None:
    frontier = Frontier(tmp_path / "f", page_budget=3)
    row = dict.fromkeys(("etag", "modified", "digest", "captured")) | {"depth": 1, "hops": 0, "status": 200}
    row |= {"result": "page", "reason": "", "misses": 0}
    seen = {"old": "2026-11-01", "new": "2026-11-19", "never": ""}
    frontier.know({**row, "url": f"http://a.test/{name}", "seen": day} for name, day in seen.items())
    frontier.seed([Found("http://a.test/")])
    graph = {"http://a.test/": [], **{f"http://a.test/{name}": [] for name in seen}}
    reached = {outcome.url.rsplit("/", 1)[-1]: outcome.rank for outcome in walk(frontier, graph, random.Random(0))}
    assert reached == {"": 1, "never": 1, "old": 2}


def test_redirects_end_where_the_last_one_leads(tmp_path: Path) -> None:
    frontier = start(tmp_path, "f", "http://a.test/1")
    for target in ("http://a.test/2", "http://a.test/3"):
        task = frontier.next(1)
        assert task is not None
        frontier.finish(
            Outcome(task.url, "page", task.round, task.rank, 0, task.hops, "redirect", links=(target,)), "2026-11-20"
        )
    assert frontier.end_of("http://a.test/1") == ("", "not visited")
    task = frontier.next(1)
    assert task is not None and task.hops == 2
    frontier.finish(Outcome(task.url, "page", task.round, task.rank, 0, 2, "error", "http_500"), "2026-11-20")
    assert frontier.end_of("http://a.test/1") == ("error", "http_500")


def test_segments_of_two_attempts_at_once_do_not_mix(tmp_path: Path, local_store: Store) -> None:
    def commit(journal: Journal, *outcomes: Outcome) -> None:
        path = tmp_path / "outcomes"
        path.write_bytes(b"".join(line_of(outcome) for outcome in outcomes))
        journal.append(Head(warc=None, bytes=0, seconds=0), path)

    def visit(n: int, *links: int) -> Outcome:
        return Outcome(
            f"http://a.test/{n}", "page", n, 1, n, 0, "page", links=tuple(f"http://a.test/{m}" for m in links)
        )

    def continues(outcomes: Sequence[Outcome]) -> bool:
        return not {outcome.url for outcome in outcomes} & done

    paused, living = Journal(local_store, "raw/docs/x"), Journal(local_store, "raw/docs/x")
    living.start(Start(config="c", base=Base(folder="raw/docs/w", digest="d")))
    commit(paused, visit(0, 1))
    list(living.replay(lambda outcomes: True))
    commit(living, visit(1, 2))
    commit(paused, visit(1, 2))  # the paused attempt wakes up: its segment has the same number
    done: set[str] = set()
    replayed: list[str] = []
    for segment in Journal(local_store, "raw/docs/x").replay(continues):
        done |= {outcome.url for outcome in segment.outcomes}
        replayed += [outcome.url for outcome in segment.outcomes]
    assert replayed == ["http://a.test/0", "http://a.test/1"]
    living.clear()
    assert living.started() is None and not list(local_store.list("raw/docs/x/"))


def test_which_page_an_image_comes_with_does_not_depend_on_who_answers_first(tmp_path: Path) -> None:
    first, two, three = "http://a.test/1", "http://a.test/2", "http://a.test/3"
    graph = {first: [two, three], two: [], three: []}
    came = []
    for seed in range(8):
        chance, frontier = random.Random(seed), start(tmp_path, f"via{seed}", first)
        going: list[Task] = []
        while True:
            while task := frontier.next(9):
                going.append(task)
            if not going:
                break
            task = going.pop(chance.randrange(len(going)))
            if task.via:
                came.append((task.url, task.via, task.depth))
                frontier.finish(replace(end(task, {task.url: []}), via=task.via), "2026-11-20")
            else:
                shown = ("http://a.test/i.png",) if task.url != first else ()
                frontier.finish(replace(end(task, graph), images=shown), "2026-11-20")
        (known,) = [row for row in frontier.known(forget=7) if row["via"]]
        assert known["via"] == two
    assert set(came) == {("http://a.test/i.png", two, 1)}
