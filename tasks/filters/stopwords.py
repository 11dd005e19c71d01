# ruff: noqa: RUF001
"""Words that hardly any text of a language is without."""

from __future__ import annotations

_WORDS = {
    "en": "the be to of and that have with",
    "de": "der die und in den von zu mit das ist nicht ein",
    "fr": "de la le et les des en un une que est pour",
    "es": "de la que el en y los se del las un por",
    "it": "di e il la che in un per è non una sono",
    "pt": "de a o que e do da em um para é com",
    "nl": "de van het een en in is dat op te zijn met",
    "sv": "och i att det som en på är av för med till",
    "da": "og i at det er en til af på for med der",
    "no": "og i det er en til av på for som med å",
    "fi": "ja on ei se että oli mutta kun ovat niin myös hän",
    "pl": "w i na z się do nie to jest że od po",
    "cs": "a se v na je že to s z do o i",
    "sk": "a v sa na je že to s z do o aj",
    "ru": "и в не на что с по это как а он к",
    "uk": "і в не на що з та до це як за він",
    "bg": "и на да се от за в не е че с по",
    "ro": "de și în a la cu care pe este un o nu",
    "hu": "a az és hogy nem is egy ez meg de volt van",
    "el": "και το να του η της με που την από για τα",
    "tr": "ve bir bu da de için ile çok ne gibi daha olarak",
    "ca": "de la que i el en a les els un per amb",
    "id": "yang dan di dari untuk dengan ini itu pada tidak",
    "vi": "là và của có không trong cho được một các với người",
    "ar": "في من على أن إلى التي عن مع هذا ما كان لا",
    "fa": "و در به از که این را با است برای آن",
    "he": "של את על לא זה הוא עם גם כי אם",
    "hi": "के में की है और से का को पर यह",
    "zh": "的 了 在 是 和 有 不 我 他 这 這 也",
    "ja": "の に は を た が で て と し も れ",
}

STOP_WORDS: dict[str, tuple[str, ...]] = {language: tuple(words.split()) for language, words in _WORDS.items()}
"""By ISO 639 code. The English ones are Gopher's."""
