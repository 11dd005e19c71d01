"""Images of a page: one file of each element, the largest, whatever the attributes say."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.sources.web.links import Scope, links
from tasks.sources.web.pictures import largest_first, srcset

SITE = Scope(["site.test"], (), ())
HERE = "http://site.test/dir/page"
DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def shown(html: str, scope: Scope = SITE) -> list[str]:
    found = links(html.encode(), HERE, "utf-8", scope, images=True)[1]
    return [url.removeprefix("http://site.test/dir/") for url in found]


# --- srcset -----------------------------------------------------------------------------------------


def by_the_standard(value: str) -> list[tuple[str, int, float]]:
    """ "Parse a srcset attribute" of the HTML standard, letter by letter."""
    space, found, at = " \t\n\f\r", [], 0
    while True:
        while at < len(value) and value[at] in space + ",":
            at += 1
        if at >= len(value):
            return found
        begin = at
        while at < len(value) and value[at] not in space:
            at += 1
        url, descriptors = value[begin:at], []
        if url.endswith(","):
            url = url.rstrip(",")
        else:
            while at < len(value) and value[at] in space:
                at += 1
            current, state = "", "in"
            while True:
                c = value[at] if at < len(value) else None
                if c is None:
                    if current:
                        descriptors.append(current)
                    break
                if state == "parens":
                    current += c
                    state = "in" if c == ")" else state
                elif c in space:
                    if current:
                        descriptors.append(current)
                    current = ""
                elif c == ",":
                    at += 1
                    if current:
                        descriptors.append(current)
                    break
                else:
                    current += c
                    state = "parens" if c == "(" else state
                at += 1
        error, width, density, height = False, None, None, None
        for each in descriptors:
            number, unit = each[:-1], each[-1]
            if unit == "w" and whole(number):
                error |= width is not None or density is not None or int(number) == 0
                width = int(number)
            elif unit == "x" and fraction(number):
                error |= width is not None or density is not None or height is not None or float(number) < 0
                density = float(number)
            elif unit == "h" and whole(number):
                error |= height is not None or density is not None or int(number) == 0
                height = int(number)
            else:
                error = True
        error |= height is not None and width is None
        if not error:
            found.append((url, width or 0, 1.0 if density is None else density))


def whole(text: str) -> bool:
    return text.isascii() and text.isdigit()


def fraction(text: str) -> bool:
    mantissa, e, exponent = text.lower().partition("e")
    before, dot, after = mantissa.partition(".")
    digits = (whole(before) or (not before and bool(dot))) and (whole(after) if dot else True)
    return digits and (not e or whole(exponent[1:] if exponent[:1] in ("+", "-") else exponent))


PIECES = [
    "a",
    "/b.jpg",
    ",",
    ", ",
    " ",
    "\n",
    "\u00a0",
    "100w",
    "20h",
    "2x",
    ".5x",
    "1.x",
    "1e2x",
    "-1x",
    "0w",
    "(",
    ")",
]
PIECES += [DOT, "w", "x", "\u0661w", "+1w", "3W"]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("a 1w(, b 2w), c")
@example(f"{DOT} 1x, /b 2x")
@example("a,b,c.jpg,, d 2x")
@example("a 1w 2w, b 1w 1x, c 20h, d 20h 10w, e 1x 10h")
def test_a_srcset_is_read_as_the_standard_reads_it(value: str) -> None:
    assert list(srcset(value)) == by_the_standard(value)


@given(st.text(max_size=40))
def test_no_srcset_is_too_strange(value: str) -> None:
    assert list(srcset(value)) == by_the_standard(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("s.jpg 300w, l.jpg 1200w, m.jpg 600w", ["l.jpg"]),
        ("a.jpg, b.jpg 1.5x, c.jpg 3x", ["c.jpg"]),
        ("c/w_300,h_200/x.jpg 300w, c/w_900,h_600/x.jpg 900w", ["c/w_900,h_600/x.jpg"]),
        ("a.jpg 0w, b.jpg -2x, c.jpg 2q, d.jpg", ["d.jpg"]),
        ("//cdn.test/l.jpg 1200w, /dir/m.jpg 600w", ["m.jpg"]),
        ("//cdn.test/l.jpg 1200w", ["small.jpg"]),
        (f"{DOT} 1x", ["small.jpg"]),
        ("half.jpg 0.5x", ["small.jpg"]),
        ("same.jpg 1x", ["same.jpg"]),
        (", ,", ["small.jpg"]),
    ],
)
def test_the_largest_that_may_be_fetched_is_taken(value: str, expected: list[str]) -> None:
    assert shown(f'<img src="small.jpg" srcset="{value}">') == expected


def test_what_is_too_large_may_be_denied() -> None:
    scope = Scope(["site.test"], (), ["-2400"])
    assert shown('<img src=a.jpg srcset="a-2400.jpg 2400w, a-1200.jpg 1200w">', scope) == ["a-1200.jpg"]


# --- elements ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<source srcset='a.webp 1x, b.webp 2x' type=image/webp><img src=a.jpg>", ["b.webp"]),
        ("<source srcset=a.avif type=image/avif><source srcset=a.svg type=image/svg+xml><img src=a.jpg>", ["a.jpg"]),
        (
            "<source media='(min-width: 900px)' srcset=l.jpg><source media='(min-width:1px)' srcset=m.jpg><img src=s>",
            ["l.jpg"],
        ),
        ("<source media='(max-width: 600px)' srcset='crop.jpg 900w'><img src=whole.jpg>", ["whole.jpg"]),
        ("<source media='(400px <= width)' type=image/jpg srcset=wide.jpg><img src=narrow.jpg>", ["wide.jpg"]),
        ("<source media='(1px <= width <= 600px)' srcset=c><img src=whole.jpg>", ["whole.jpg"]),
        ("<source media='(600px >= width)' srcset=c><img src=whole.jpg>", ["whole.jpg"]),
        ("<source media='(width <= 600px)' srcset=c><source media=print srcset=p><img src=whole.jpg>", ["whole.jpg"]),
        (
            f"<source srcset='{DOT}' data-srcset='a.jpg 1w, b.jpg 2w'><img src='{DOT}' class=lazy>"
            "<noscript><img src=c.jpg></noscript>",
            ["b.jpg"],
        ),
        ("<source srcset=a.jpg>", []),
        ("<source srcset='//cdn.test/a.jpg 2x'><img src=thumbnail.jpg>", []),
        ("<source srcset=a.jpg><img><img src=b.jpg>", ["a.jpg", "b.jpg"]),
    ],
)
def test_a_picture_is_one_image_as_a_wide_screen_shows_it(html: str, expected: list[str]) -> None:
    assert shown(f"<picture>{html}</picture><img src=next.jpg>") == [*expected, "next.jpg"]
    assert shown("<video><source src=film.mp4 srcset=film.jpg></video>") == []


@pytest.mark.parametrize("name", ["data-src", "data-original", "data-lazy-src", "DATA-SRC", "data-photo-large"])
def test_an_image_that_a_script_will_load_is_found_where_the_script_finds_it(name: str) -> None:
    assert shown(f'<img loading=lazy src="{DOT}" {name}="real.jpg">') == ["real.jpg"]
    assert shown(f'<img {name}="real.jpg">') == ["real.jpg"]
    if not name.endswith("large"):
        assert shown(f'<img src="blank.gif" {name}="real.jpg">') == ["real.jpg"], "which is what stands there till then"
        assert shown(f'<img src="{DOT}" {name}="real.jpg" data-srcset="x.jpg 1w, y.jpg 2w">') == ["y.jpg"]


@pytest.mark.parametrize(
    "value",
    ["", " ", "true", "1", DOT, "{{ image.url }}", "a_{width}x.jpg", '{"src":"a.jpg"}', "#", "javascript:x.jpg", "["],
)
def test_what_is_no_file_leaves_the_image_what_it_is(value: str) -> None:
    for name in ("data-src", "data-original", "data-anything"):
        assert shown(f"<img src=real.jpg {name}='{value}'>") == ["real.jpg"]
        assert shown(f"<img src='{DOT}' {name}='{value}'>") == []


def test_a_sized_list_of_any_script_is_read_as_one() -> None:
    assert shown("<img data-sizes-of-it='a.jpg 300w, b.jpg 600w' alt=z.jpg title=z.jpg>") == ["b.jpg"]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (f"<img src='{DOT}' data-src=a-300.jpg><noscript><img src=a-900.jpg></noscript>", ["a-300.jpg"]),
        ("<img src=blank.gif class='lazy x'><noscript><img src=a.jpg></noscript>", ["a.jpg"]),
        ("<div><img></div><noscript><a><img src=a.jpg></a></noscript>", ["a.jpg"]),
        (f"<noscript><img src=a-900.jpg></noscript><img src='{DOT}' data-src=a-300.jpg>", ["a-300.jpg"]),
        ("<noscript><img src=a.jpg></noscript><img class=lazy src=blank.gif>", ["a.jpg"]),
        ("<img src=a.jpg><noscript><img src=b.jpg></noscript>", ["a.jpg", "b.jpg"]),
        ("<img data-src=a.jpg><p><noscript><img src=b.jpg></noscript>", ["a.jpg", "b.jpg"]),
        ("<noscript><img src=a.jpg><img src=b.jpg></noscript>", ["a.jpg", "b.jpg"]),
        (
            "<img data-src=a.jpg><noscript><img src=A.jpg></noscript>"
            "<img data-src=b.jpg><noscript><img src=B.jpg></noscript>",
            ["a.jpg", "b.jpg"],
        ),
        (
            "<noscript><img src=A.jpg></noscript><img data-src=a.jpg>"
            "<noscript><img src=B.jpg></noscript><img data-src=b.jpg>",
            ["a.jpg", "b.jpg"],
        ),
    ],
)
def test_an_image_and_the_one_for_those_without_scripts_are_one(html: str, expected: list[str]) -> None:
    assert shown(html) == expected


TRACKER = "<noscript><img src='https://tracker.test/tr?id=1'></noscript>"
PIXEL = "<noscript><img {} src=/dir/pixel.gif></noscript>"


@pytest.mark.parametrize("name", ["lazy", "lazyload", "x Lazy-image", "no-lazy skip-lazy"])
@pytest.mark.parametrize("between", ["", "</div></main>"])
def test_a_tracker_elsewhere_takes_no_image_away(name: str, between: str) -> None:
    image = f"<img class='{name}' src=photo.jpg>"
    assert shown(f"{image}{between}{TRACKER}") == ["photo.jpg"]
    assert shown(f"<main><div>{image}{between}{TRACKER}") == ["photo.jpg"]
    assert shown(f"{TRACKER}{between}{image}") == ["photo.jpg"]


def test_an_image_without_a_file_is_not_made_up_for() -> None:
    outside = "<noscript><img data-src='//cdn.test/l.jpg' src=small.jpg></noscript>"
    assert shown(f"<img class=lazy src='{DOT}'>{TRACKER}") == []
    assert shown(f"<img class=lazy data-src='//cdn.test/a.jpg' src=blank.gif>{outside}") == []
    assert shown(f"<img class=lazy src=photo.jpg>{outside}") == ["photo.jpg"]


@pytest.mark.parametrize("tag", ["div", "p", "figure", "main", "section", "article", "li", "td", "product-card"])
def test_where_an_element_ends_so_does_what_is_beside_its_image(tag: str) -> None:
    image, pixel = "<img class=lazy src=photo.jpg>", PIXEL.format("")
    assert shown(f"<{tag}>{image}</{tag}>{pixel}") == ["photo.jpg", "pixel.gif"]
    assert shown(f"<{tag}>{pixel}</{tag}>{image}") == ["pixel.gif", "photo.jpg"]
    assert shown(f"<noscript><{tag}><img src=a.jpg></{tag}></noscript><img class=lazy src=blank.gif>") == ["a.jpg"]


@pytest.mark.parametrize("tag", ["a", "span", "picture"])
def test_what_wraps_an_image_alone_may_end_before_its_noscript(tag: str) -> None:
    image, real = "<img class=lazy src=blank.gif>", "<noscript><img src=a.jpg></noscript>"
    assert shown(f"<{tag}>{image}</{tag}>{real}") == shown(f"<{tag}>{real}</{tag}>{image}") == ["a.jpg"]


@pytest.mark.parametrize(
    "unseen",
    [
        "width=1",
        "height=0",
        "height='01px'",
        "style='display:none'",
        "style='border:0; DISPLAY : none'",
        "style='visibility:hidden'",
        "style='position:absolute; left:-9999px;'",
        "style='width:1px'",
        "hidden",
    ],
)
def test_what_nobody_sees_in_a_noscript_is_no_image_of_a_script(unseen: str) -> None:
    pixel = PIXEL.format(unseen)
    assert shown(f"<img class=lazy src=photo.jpg>{pixel}") == ["photo.jpg", "pixel.gif"]
    assert shown(f"{pixel}<img class=lazy src=photo.jpg>") == ["pixel.gif", "photo.jpg"]
    assert shown(f"{pixel}<img class=lazy src=blank.gif><noscript><img src=a.jpg></noscript>") == ["pixel.gif", "a.jpg"]


@pytest.mark.parametrize(
    "seen",
    ["width=100", "width=1%", "height=10", "width=", "style='display:block'", "style='max-width:1px;width:100%'",
     "style='margin-left:-2000px'", "style='width:1.5em'"],
)  # fmt: skip
def test_what_is_seen_in_a_noscript_is(seen: str) -> None:
    assert shown(f"<img class=lazy src=blank.gif><noscript><img src=a.jpg {seen}></noscript>") == ["a.jpg"]


@pytest.mark.parametrize("value", ["photo-of-product/12", "1.5", "4/3", "No. 5", "v1.2/photo"])
def test_what_only_might_be_a_file_does_not_outdo_one(value: str) -> None:
    for name in ("data-src", "data-original", "data-lazy"):
        assert shown(f"<img src=photo.jpg {name}='{value}'>") == ["photo.jpg"]
        assert shown(f"<img src=photo.jpg {name}='{value}'><noscript><img src=b.jpg></noscript>") == [
            "photo.jpg",
            "b.jpg",
        ]
    if " " not in value:
        for source in (DOT, "#", ""):
            assert shown(f"<img src='{source}' data-src='{value}'>") == [value]


@pytest.mark.parametrize("value", ["true", "1.5", "4/3 2x", "{{url}}", "a_{width}x.jpg 300w", ","])
def test_what_only_might_be_files_does_not_outdo_one(value: str) -> None:
    assert shown(f"<img src=photo.jpg data-srcset='{value}'>") == ["photo.jpg"]
    assert shown(f"<img src=photo.jpg data-srcset='{value}, b.jpg 0.5x'>") == ["b.jpg"]
    picture = f"<picture><source data-srcset='{value}'><img src=photo.jpg></picture>"
    assert shown(picture) == ["photo.jpg"]


@pytest.mark.parametrize("value", ["/dir/12", "./12", "../dir/12", "//site.test/dir/12", "HTTP://site.test/dir/12"])
def test_an_address_outdoes_what_stands_there_whatever_its_ending(value: str) -> None:
    assert shown(f"<img src=blank.gif data-src='{value}'>") == ["12"]
    assert shown(f"<img src=blank.gif data-srcset='{value} 2x'>") == ["12"]
    assert shown("<img src=blank.gif data-src='thumb.php?id=12'>") == ["thumb.php?id=12"]


def test_the_image_of_a_share_card_is_not_shown_by_the_page() -> None:
    assert shown('<meta property="og:image" content="http://site.test/dir/card.jpg"><link rel=icon href=i.png>') == []


def test_who_does_not_ask_for_images_is_not_told() -> None:
    assert links(b"<img src=a.jpg><a href=b>", HERE, None, SITE) == (("http://site.test/dir/b",), ())


# --- hostile ----------------------------------------------------------------------------------------

TAGS = ["<picture>", "</picture>", "<noscript>", "</noscript>", "<source srcset='{}'>", "<img src='{}'>", "<p>", "</p>"]
TAGS += [
    "<noscript><img style='{}' width='{}'>",
    "<img data-src='{}'>",
    "<img srcset='{}' class=lazy>",
    "<source data-srcset='{}' media='{}' type='{}'>",
]


@given(
    st.lists(st.tuples(st.sampled_from(TAGS), st.text(st.characters(exclude_characters="'"), max_size=9)), max_size=9)
)
def test_whatever_the_tags_each_image_is_named_at_most_once_and_in_scope(pieces: list[tuple[str, str]]) -> None:
    html = "".join(tag.replace("{}", value) for tag, value in pieces)
    found = links(html.encode("utf-8", "replace"), HERE, "utf-8", SITE, images=True)[1]
    assert len(set(found)) == len(found) <= html.count("<img")
    assert all(SITE.covers(url) for url in found)


@pytest.mark.parametrize(
    "piece",
    ["<picture><source srcset=data:x>", "<source srcset=data:x><img src=data:>", "<noscript><img class=lazy>",
     "<img srcset='a 1w,,' data-src=b>", "<img class=lazy src=data:></p><noscript><img src=http://b.test/></noscript>"],
)  # fmt: skip
def test_no_page_of_images_takes_more_than_linear_time(piece: str) -> None:
    started = time.process_time()
    shown("<picture>" + piece * 20_000)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("piece", [" ", "0", "a?", "a?b", "lazy", " lazy", "display", "display:", "width: ", "left:-9"])
def test_no_attribute_takes_more_than_linear_time(piece: str) -> None:
    value = piece * 100_000
    started = time.process_time()
    shown(f"<img src=a class='x{value}' data-src='{value}' data-srcset='{value}'>")
    shown(f"<noscript><img src=b style='{value}' width='{value}'></noscript><img class=lazy data-src='x{value}'>")
    assert time.process_time() - started < 5


@pytest.mark.parametrize("piece", ["a 1w,", "(", "a (", ",", " ", "a,", "a 1w ", "1w", "a\n2x,b,"])
def test_no_srcset_takes_more_than_linear_time(piece: str) -> None:
    started = time.process_time()
    found = list(srcset(piece * 100_000))
    assert time.process_time() - started < 5
    assert len(found) <= 200_000


def test_of_a_very_long_srcset_the_largest_are_looked_at() -> None:
    many = ", ".join(f"//cdn.test/{width} {width}w" for width in range(1, 20_000))
    started = time.process_time()
    assert shown(f"<img srcset='{many}, a.jpg 30000w'>") == ["a.jpg"]
    assert time.process_time() - started < 2
    assert len(largest_first(())) == 0
