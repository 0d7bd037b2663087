"""Which script a text is written in, and which one its language is written in."""

from __future__ import annotations

import unicodedata
from collections import Counter

LANGUAGES = {
    "latin": "basque eu eus baq, catalan ca cat, croatian hr hrv, czech cs ces cze, danish da dan, dutch nl nld dut, "
    "english en eng, esperanto eo epo, estonian et est, finnish fi fin, french fr fra fre, galician gl glg, "
    "german de deu ger, hungarian hu hun, icelandic is isl ice, indonesian id ind, irish ga gle, italian it ita, "
    "latin la lat, latvian lv lav, lithuanian lt lit, malay ms msa may, norwegian no nor nb nob nn nno, polish pl pol, "
    "portuguese pt por, romanian ro ron rum, slovak sk slk slo, slovenian sl slv, spanish es spa, swahili sw swa, "
    "swedish sv swe, tagalog tl tgl, turkish tr tur, vietnamese vi vie, welsh cy cym wel",
    "cyrillic": "belarusian be bel, bulgarian bg bul, macedonian mk mkd mac, russian ru rus, ukrainian uk ukr",
    "latin cyrillic": "serbian sr srp, kazakh kk kaz, uzbek uz uzb",
    "arabic": "arabic ar ara, persian fa fas per, urdu ur urd",
    "hebrew": "hebrew he heb, yiddish yi yid",
    "devanagari": "hindi hi hin, marathi mr mar, nepali ne nep, sanskrit sa san",
    "hiragana katakana cjk": "japanese ja jpn",
    "hangul cjk": "korean ko kor",
    "cjk": "chinese zh zho chi, mandarin cmn, cantonese yue",
    "greek": "greek el ell gre",
    "armenian": "armenian hy hye arm",
    "bengali": "bengali bn ben",
    "georgian": "georgian ka kat geo",
    "tamil": "tamil ta tam",
    "telugu": "telugu te tel",
    "thai": "thai th tha",
}
SCRIPTS = {name: scripts.split() for scripts, names in LANGUAGES.items() for name in names.replace(",", "").split()}


def expected(language: str) -> list[str]:
    """The scripts of a language, by its English name or ISO 639 code (`en-GB` too); none when it is not known."""
    return SCRIPTS.get(language.strip().casefold().replace("_", "-").partition("-")[0], [])


def shares(text: str) -> dict[str, float]:
    """The scripts of the letters of a text, the most frequent first, with their shares."""
    found: Counter[str] = Counter()
    for character, count in Counter(unicodedata.normalize("NFKC", text)).items():
        if character.isalpha():
            found[script(character)] += count
    return {name: count / found.total() for name, count in found.most_common()}


def script(letter: str) -> str:
    """The first word of a letter's Unicode name, which tells its script."""
    return unicodedata.name(letter, "unnamed").replace("-", " ").partition(" ")[0].lower()
