"""Which blocks of a page are its article, and how sure that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text import extract
from tasks.text.article import article
from tasks.text.blocks import read
from tasks.text.extract import Extracted, auto

SENTENCES = [
    "The night train left the station at ten, and nobody on the platform waved.",
    "It climbed into the hills for an hour, past villages whose lights were out.",
    "By morning it stood in a valley, and the driver had gone to look for coffee.",
]
ARTICLE = "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)
MENU = "<ul>" + "".join(f'<li><a href="/{n}">Section number {n} of this site</a></li>' for n in range(20)) + "</ul>"


def page(body: str) -> str:
    return (
        f"<html><head><title>Night  trains</title><script>var x = 'no text';</script></head><body>{body}</body></html>"
    )


def test_an_article_is_found_between_menus() -> None:
    found = article(page(f"<div>{MENU}</div><div><h1>Night trains</h1>{ARTICLE}</div><div>{MENU}</div>"))
    assert found.title == "Night trains"
    assert found.text.split("\n") == SENTENCES
    assert found.doubt == 0


@pytest.mark.parametrize(
    "beside",
    [
        f"<aside><p>{'Another story about another train that you may want to read. ' * 2}</p></aside>",
        f'<div class="article-share-bar"><p>{"Tell everybody that you know about this very story. " * 2}</p></div>',
        f'<section id="RelatedStories"><p>{"Another story about another train, in more words. " * 2}</p></section>',
        f"<figure><figcaption>{'A train in the hills, photographed on some morning. ' * 2}</figcaption></figure>",
    ],
)
def test_what_stands_beside_the_text_is_left_out(beside: str) -> None:
    middle = ARTICLE.replace("</p>", f"</p>{beside}", 1)
    assert article(page(f"<div>{middle}</div>")).text.split("\n") == SENTENCES


def test_an_article_that_is_called_a_sidebar_is_an_article_for_all_that() -> None:
    found = article(page(f'{MENU}<form><div class="sidebar widget">{ARTICLE}</div></form>'))
    assert found.text.split("\n") == SENTENCES


def test_subheads_and_short_items_between_sentences_stay() -> None:
    middle = ARTICLE.replace("</p>", "</p><h2>Uphill</h2><ul><li>one engine</li></ul>", 1)
    lines = article(page(f"<div>{middle}</div>")).text.split("\n")
    assert lines == [SENTENCES[0], "Uphill", "one engine", *SENTENCES[1:]]


def test_a_text_without_paragraphs_is_read_line_by_line() -> None:
    assert article(page(f"{MENU}<div>{'<br><br>'.join(SENTENCES)}</div>")).text.split("\n") == SENTENCES


def test_markup_within_a_sentence_does_not_break_it() -> None:
    marked = (
        SENTENCES[0].replace("night train", 'night <a href="/t">tr<b>ai</b>n</a>').replace("platform", "plat<wbr>form")
    )
    assert article(page(f"<div><p>{marked}</p></div>")).text == SENTENCES[0]


def test_a_short_sentence_in_japanese_is_a_sentence() -> None:
    sentence = "夜の列車は十時に駅を出た。どこへ行くのか、誰も知らなかった。"
    assert article(page(f"<div>{MENU}</div><div><p>{sentence}</p></div>")).text == sentence


def test_doubt_grows_with_what_is_left_out() -> None:
    others = "".join(f"<section>{MENU}<p>{sentence * 3}</p></section>" for sentence in SENTENCES)
    found = article(page(f"{others}<section>{MENU}<p>{SENTENCES[0] * 4}</p></section>"))
    assert found.doubt > 0.6
    assert article(page(MENU)).doubt == 1
    assert article("") == article("<!-- -->")


def test_auto_asks_again_only_where_there_is_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def trafilatura(html: str, *, fast: bool) -> Extracted:
        asked.append(html)
        return Extracted("second", "The second answer.")

    monkeypatch.setattr(extract, "_trafilatura", trafilatura)
    assert auto(page(ARTICLE)).text == "\n".join(SENTENCES)
    assert not asked
    assert auto(page(MENU)) == Extracted("second", "The second answer.")
    assert len(asked) == 1


def test_without_a_second_answer_auto_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "_trafilatura", lambda html, fast: Extracted("", ""))
    monkeypatch.setattr(extract, "DOUBT", -1.0)
    assert auto(page(ARTICLE)).text == "\n".join(SENTENCES)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("html", ["<div>" * 50_000, "<a>" * 50_000 + "text", "<p>a<br>" * 50_000, "\0\ud800<p>x" * 100])
def test_hostile_markup_is_read_in_linear_time(html: str) -> None:
    found = read(html)
    begins, ends = found.elements[:, 1], found.elements[:, 2]
    assert (begins >= 0).all() and (begins <= ends).all() and (ends <= len(found.blocks)).all()


@given(st.text(st.sampled_from("<>/=\"'& \n\0abpdivul1é漢"), max_size=300))
def test_whatever_is_no_page_is_no_error(html: str) -> None:
    found = article(html)
    assert 0 <= found.doubt <= 1
    assert bool(found.text) <= (found.doubt < 1)
