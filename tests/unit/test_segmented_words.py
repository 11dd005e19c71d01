# ruff: noqa: RUF001
"""Texts of scripts without spaces: divided into words, and learned from by every recipe of texts."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.models._words import words
from tasks.models.base import RECIPES, kinds_of
from tasks.step import Shard

SHARDED = [
    name
    for name in RECIPES.names()
    if RECIPES.get(name).spread == "sharded" and "documents" in kinds_of(RECIPES.get(name)) and name != "keyword"
]

CHINESE = {
    "天气": [
        "今天天气很好",
        "明天会下雨",
        "北方气温下降",
        "台风正在接近沿海",
        "周末有雷阵雨",
        "空气湿度很高",
        "气象台发布预报",
    ],
    "足球": [
        "球队赢得了比赛",
        "守门员扑出点球",
        "教练更换了前锋",
        "球迷庆祝冠军",
        "裁判出示红牌",
        "联赛积分榜更新",
        "球员转会",
    ],
    "经济": [
        "股票市场上涨",
        "银行提高利率",
        "公司公布利润",
        "政府降低税收",
        "出口贸易增长",
        "投资者购买债券",
        "通货膨胀放缓",
    ],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我们在学习自然语言处理", ["我们", "在", "学习", "自然语言", "处理"]),
        ("東京都に住んでいます", ["東京", "都", "に", "住ん", "で", "い", "ます"]),
        ("Python语言很好 and fast", ["Python", "语言", "很", "好", "and", "fast"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("猫", ["猫"]),
        ("你好，世界。", ["你好", "世界"]),
        ("हिन्दी भारत की राजभाषा है", ["हिन्दी", "भारत", "की", "राजभाषा", "है"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("বাংলা ভাষা, ১৯৫২", ["বাংলা", "ভাষা", "১৯৫২"]),
        ("ന്‍റെ हिन्दी世界", ["ന്‍റെ", "हिन्दी", "世界"]),
    ],
)
def test_a_text_is_divided_as_its_script_needs(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_words_with_marks_are_whole_where_every_word_counts() -> None:
    assert words("राज_भाषा है a b", every=True) == ["राज", "भाषा", "है", "a", "b"]


@given(text=st.text(max_size=60))
def test_no_letter_of_a_script_without_spaces_is_lost(text: str) -> None:
    mixed = f"{text}学习 {text}"
    assert "学习" in "".join(words(mixed))
    assert "".join(words(mixed)).count("学") >= mixed.count("学")


def documents(count: int, seed: int) -> pa.Table:
    """Three sentences run together without a space, of one topic; no two documents are alike."""
    chance = random.Random(seed)
    labels = [list(CHINESE)[i % 3] for i in range(count)]
    texts = ["，".join(chance.sample(CHINESE[label], k=4)) + "。" for label in labels]
    return pa.table({"uid": [f"{seed:016x}{i:016x}" for i in range(count)], "text": texts, "label": labels})


@pytest.mark.parametrize("name", SHARDED)
def test_recipes_learn_from_chinese(name: str) -> None:
    kind = RECIPES.get(name)
    clusters = {"clusters": 3, "dimensions": 6} if name in ("kmeans", "gaussian_mixture") else {}
    made: Any = kind(kind.Params.model_validate(clusters), 0)
    halves = [documents(45, seed) for seed in (0, 1)]
    features = made.combine([made.count(iter([half])) for half in halves], 90)
    assert "球队" in features["term"].to_pylist()
    parts = [made.fit(iter([half]), features, Shard(i, 2)) for i, half in enumerate(halves)]
    unseen = documents(30, 7)
    model = parts[0] if not clusters else made.merge(parts, [0.5, 0.5])
    chances = made.predict(model, unseen["text"].to_pylist())
    said = (chances.chances if clusters else chances).argmax(axis=1)
    groups = [
        {int(each) for each, label in zip(said, unseen["label"].to_pylist(), strict=True) if label == topic}
        for topic in CHINESE
    ]
    # One answer for each topic, and no two the same: whether it is named by the label or by a cluster's number.
    assert np.mean([len(group) for group in groups]) < 1.7
    assert len(set().union(*groups)) >= 3


@pytest.mark.parametrize("name", ["logistic", "text_encoder"])
def test_networks_read_words_of_chinese(name: str) -> None:
    kind = RECIPES.get(name)
    made: Any = kind(kind.Params.model_validate({}), 0)
    rows = documents(30, 0)
    features = made.combine([made.count(iter([rows]))], 30)
    encoded = list(made.encode(iter([rows]), features))
    column = "ids" if name == "logistic" else "terms"
    assert min(len(each) for batch in encoded for each in batch[column]) > 8
