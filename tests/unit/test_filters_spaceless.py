# ruff: noqa: RUF001
"""Texts of languages without spaces between words pass the filters that prose of others passes."""

from __future__ import annotations

import pytest

from tests.unit.test_filters import judge

TEXTS = {
    "zh": """\
长城修筑的历史可上溯到西周时期，发生在首都镐京的著名典故“烽火戏诸侯”就源于此。春秋战国时期列国争霸，互相防守。
此时修筑的长度都比较短，但是各国都在自己的边界上筑起了高墙。
秦灭六国统一天下后，秦始皇连接和修缮战国长城，始有万里长城之称。
明朝是最后一个大修长城的朝代，今天人们所看到的长城多是此时修筑的。
我们在山上看到的城墙，有的已经倒了，有的还在那里，没有人知道它们是谁的。""",
    "ja": """\
夜行列車は十時に駅を出た。どこへ行くのか誰も知らなかったが、それでよかった。小さな茶色の鞄を持った男が窓際に座った。
雨が町の外の畑に降り始め、最後の家々の明かりが濡れた窓に揺れていた。
車掌が来たとき、彼は何も聞かなかった。鞄を見て、それから男を見て、ゆっくりと歩いて行った。
誰かがまた口を開くのは朝になってからで、その頃には山々が平野に代わっていた。""",
    "th": """\
ภาษาไทยเป็นภาษาที่มีระดับเสียงของคำแน่นอนหรือวรรณยุกต์เช่นเดียวกับภาษาจีน และออกเสียงแยกคำต่อคำ
กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศ ตั้งอยู่บนสามเหลี่ยมปากแม่น้ำเจ้าพระยา
แม่น้ำไหลผ่านและแบ่งเมืองออกเป็นสองฝั่ง คือ ฝั่งพระนครและฝั่งธนบุรี ผู้คนข้ามฟากกันทุกวันด้วยเรือและสะพาน
รถไฟขบวนกลางคืนออกจากสถานีตอนสิบโมง ไม่มีใครบนชานชาลารู้ว่ามันจะไปไหน และนั่นก็ไม่เป็นไร""",
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("name", ["c4", "fineweb_quality", "gopher_quality", "gopher_repetition"])
def test_prose_is_kept(name: str, language: str) -> None:
    assert judge(name, TEXTS[language], language).reason is None


@pytest.mark.parametrize("language", TEXTS)
def test_lines_of_prose_stay_and_menus_go(language: str) -> None:
    menu = {"zh": "首页", "ja": "案内", "th": "หน้าแรก"}[language]
    verdict = judge("c4_lines", f"{menu}\n{TEXTS[language]}\n{menu}", language)
    assert verdict.text == TEXTS[language]


def test_a_long_line_without_a_space_is_no_long_word() -> None:
    line = TEXTS["zh"].replace("\n", "") * 8
    assert len(line) > 1000
    assert judge("c4_lines", line, "zh").text == line
    assert judge("c4_lines", f"网址是这个：{'A' * 1001}。", "zh").text == ""


@pytest.mark.parametrize(("language", "words"), [("zh", 100), ("ja", 118), ("th", 233)])
def test_a_length_in_words_is_not_one_in_lines(language: str, words: int) -> None:
    assert judge("length", TEXTS[language], language, min_words=50).measured["words"] == words


@pytest.mark.parametrize(
    ("test", "text"),
    [
        ("长城修筑的历史可上溯到西周时期", TEXTS["zh"]),
        ("最後の家々の明かりが濡れた窓に揺れていた", TEXTS["ja"]),
        ("ตั้งอยู่บนสามเหลี่ยมปากแม่น้ำเจ้าพระยา", TEXTS["th"]),
        ("यह भारत की राजभाषा है", "सब जानते हैं कि यह भारत की राजभाषा है, और बहुत बोली जाती है।"),
    ],
)
def test_a_test_is_found_within_a_sentence(test: str, text: str) -> None:
    assert judge("decontamination", text, texts=[test]).reason == "shared"
    assert judge("decontamination", text.replace(test[:4], ""), texts=[test], ngram=30).reason is None


def test_a_sentence_ends_as_its_script_has_it() -> None:
    text = "यह वाक्य बहुत लम्बा नहीं है।\nयह दूसरा वाक्य है जो यहाँ है।\nऔर यह तीसरा वाक्य यहाँ है।"
    assert judge("c4_lines", text, "hi").text == text
    assert judge("c4", text, "hi").reason is None
