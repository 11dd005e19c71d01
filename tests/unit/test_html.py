"""A page that is read in one pass over its bytes has the blocks that a tree of it has."""

from __future__ import annotations

import html
from html.entities import html5
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.kernels.html import BESIDE, DEEPEST, MAIN
from tasks.text.article import article
from tasks.text.blocks import read
from tests.plain import article as plain_article
from tests.plain import blocks as plain_blocks

words = st.lists(
    st.sampled_from(["night", "train", "a&b", "漢字", "<", "“é”", "left the station"]), min_size=1, max_size=9
)
text = words.map(lambda parts: html.escape(" ".join(parts), quote=False))
inline = st.recursive(
    st.one_of(
        text, st.sampled_from(["<br>", "<img src=x>", "<!-- > -->", "&nbsp;", " ", "<script>if (a<b) '</p>'</script>"])
    ),
    lambda inner: st.tuples(st.sampled_from(["b", "span", "em", "code"]), st.lists(inner, max_size=3)).map(
        lambda made: f"<{made[0]}>{''.join(made[1])}</{made[0]}>"
    ),
    max_leaves=4,
)
line = st.lists(st.one_of(inline, inline.map(lambda inner: f'<a href="/x?a=1&b=2">{inner}</a>')), max_size=4).map(
    "".join
)
names = st.sampled_from(
    ["", ' class="share-bar"', " id=RelatedStories", " class='entry-content'", ' class="x" id="articleBody"', " hidden"]
)
blocks = st.recursive(
    st.one_of(
        line,
        st.tuples(st.sampled_from(["p", "h2", "li", "figcaption", "pre"]), names, line).map(
            lambda made: f"<{made[0]}{made[1]}>{made[2]}</{made[0]}>"
        ),
        st.just("<hr>"),
    ),
    lambda inner: st.tuples(
        st.sampled_from(["div", "section", "article", "aside", "nav", "blockquote", "my-tag"]),
        names,
        st.lists(inner, max_size=4)
    ).map(lambda made: f"<{made[0]}{made[1]}>\n{''.join(made[2])}</{made[0]}>"),
    max_leaves=12,
)  # fmt: skip


def page(body: str) -> str:
    return f"<!DOCTYPE html><html><head><title>Night &amp; day</title></head><body>{body}</body></html>"


@given(st.lists(blocks, max_size=6).map("".join).map(page))
def test_a_page_is_read_as_a_tree_of_it_would_be(markup: str) -> None:
    found, expected = read(markup), plain_blocks.read(markup)
    assert found.title == expected.title == "Night & day"
    assert [found.block(place) for place in range(len(found.blocks))] == [block.text for block in expected.blocks]
    assert found.blocks[:, 2].tolist() == [len(block.text) for block in expected.blocks]
    elements: list[Any] = [(e.begin, e.end, e.beside, e.main) for e in expected.elements]
    flags = found.elements[:, 3]
    columns = (found.elements[:, 1], found.elements[:, 2], (flags & BESIDE) > 0, (flags & MAIN) > 0)
    assert [*zip(*(column.tolist() for column in columns), strict=True)] == elements


@given(st.lists(blocks, max_size=6).map("".join).map(page))
def test_the_article_of_a_page_is_that_of_its_tree(markup: str) -> None:
    found, expected = article(markup), plain_article.article(markup)
    assert (found.text, found.doubt) == (expected.text, pytest.approx(expected.doubt))


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>one<p>two<li>three<li>four", ["one", "two", "three", "four"]),
        ("<table><tr><td>one<td>two<tr><td>three</table>four", ["one", "two", "three", "four"]),
        ("<div>one<p>two</div>three</p>four", ["one", "two", "three", "four"]),
        ("<b>one</div>two</b>", ["onetwo"]),
        ("one</p>two", ["one", "two"]),
        ("<p>&eacute;&#233;&#xE9;&amp;lt; &copy &nosuch;", ["ééé&lt; © &nosuch;"]),
        ("<p>" + "&nGt;" * 1000, ["\u226b\u20d2" * 1000]),
        ("<p>&#0; &#x110000; &#150;", ["\ufffd \ufffd \u2013"]),
        ("a < b <3 <p>c", ["a < b <3", "c"]),
        ("<textarea><p>no</p></textarea><style>p{}</style>yes", ["yes"]),
        ("<svg><path d='M0'/><text>no</text></svg>yes", ["yes"]),
        ("<div title='a > b' class=x>yes</div>", ["yes"]),
        ("one<!-- no -->two<!no>three<?no?>", ["onetwothree"]),
        ("<script>no", []),
        ("<p", []),
        ("<div>" * (DEEPEST + 9) + "deep" + "</div>" * (DEEPEST + 9) + "<p>behind", ["deep", "behind"]),
    ],
)  # fmt: skip
def test_what_a_page_leaves_out_or_crosses_is_understood(markup: str, expected: list[str]) -> None:
    found = read(markup)
    assert [found.block(place) for place in range(len(found.blocks))] == expected


def test_no_reference_is_over_a_fifth_longer_decoded_than_written() -> None:
    # `read` gives the kernel so much room for the text, and it does not ask whether that is enough.
    assert [name for name, meant in html5.items() if 5 * len(meant.encode()) > 6 * (len(name) + 1)] == []
