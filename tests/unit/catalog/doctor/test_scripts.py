import pytest

from jukebox_pl.catalog.doctor.checks import LANGUAGES, expected_scripts, script_shares

SAMPLES = {
    "en": "Hello, it's 3 o'clock",
    "fr": "Ça me plaît, où êtes-vous ?",
    "vi": "Tiếng Việt",
    "ru": "Привет, мир",
    "el": "Γειά σου Κόσμε",
    "ja": "こんにちは世界、サクラ",
    "ko": "안녕하세요",
    "zh": "你好世界",
    "ar": "مرحبا بالعالم",
    "he": "שלום עולם",
    "hi": "नमस्ते दुनिया",
    "th": "สวัสดีชาวโลก",
    "ka": "გამარჯობა",
    "ta": "வணக்கம்",
}


@pytest.mark.parametrize(("language", "text"), SAMPLES.items())
def test_a_text_is_in_a_script_of_its_language_and_in_no_other(language, text):
    found = script_shares(text)
    assert sum(found.values()) == pytest.approx(1)
    assert set(found) <= set(expected_scripts(language))
    strangers = (other for other in SAMPLES if not set(expected_scripts(other)) & set(expected_scripts(language)))
    assert all(not set(found) & set(expected_scripts(other)) for other in strangers)


@pytest.mark.parametrize("name", ["English", "en", "ENG", "en-GB", "en_US", " english "])
def test_a_language_has_many_names(name):
    assert expected_scripts(name) == ["latin"]


@pytest.mark.parametrize("name", ["", "Klingon", "invented", "x"])
def test_of_an_unknown_language_nothing_is_expected(name):
    assert expected_scripts(name) == []


def test_every_name_belongs_to_one_language():
    names = [name for group in LANGUAGES.values() for name in group.replace(",", "").split()]
    assert len(names) == len(set(names))


def test_a_text_without_letters_has_no_script():
    assert script_shares("1, 2, 3!") == {}


def test_the_most_frequent_script_comes_first():
    assert list(script_shares("да no да no да")) == ["cyrillic", "latin"]
