import json

import pytest

from jukebox_pl.errors import UserError
from jukebox_pl.text.characters import Characters, ReleasedCharacters
from jukebox_pl.text.labels import Labeller, ReleasedVocabulary, Vocabulary, frequent
from jukebox_pl.types import Song, Word

LYRICS = "one two three four five six"


@pytest.fixture
def labeller():
    return Labeller(
        Vocabulary(["Anna", "Ben"]), Vocabulary(["folk", "waltz"]), Characters("").including(LYRICS), lyric_tokens=6
    )


def song(**fields):
    return Song(
        **(
            {"id": "s", "duration": 1000, "sample_rate": 100, "artist": "ben", "genres": ("Waltz",), "lyrics": LYRICS}
            | fields
        )
    )


def told(labeller, song, offset, duration=100):
    return labeller.characters.decode(labeller.lyric_window(song, offset, duration))


def test_labels_name_ids_and_times(labeller):
    labels = labeller.labels(song(), offset=300, duration=100)
    assert labels.artist.item() == 2
    assert labels.genres.tolist() == [2, -1, -1, -1, -1]
    assert (labels.total.item(), labels.offset.item(), labels.duration.item()) == (1000, 300, 100)
    assert labels.lyrics.shape == (6,)


def test_without_word_times_the_text_is_spread_evenly(labeller):
    middle = int(len(LYRICS) * 550 / 1000)
    assert told(labeller, song(), 500) == LYRICS[middle - 3 : middle + 3]
    assert told(labeller, song(), 0) == LYRICS[:6]
    assert told(labeller, song(), 900) == LYRICS[-6:]


def test_word_times_win_over_the_even_spread(labeller):
    words = (Word("one", 0, 1), Word("two", 1, 2), Word("three", 8, 9), Word("four", 9, 10))
    assert "two" in told(labeller, song(words=words), 500)  # nothing is sung between 2 s and 8 s
    assert "three" in told(labeller, song(words=words), 810)


def test_short_lyrics_are_padded_on_the_left(labeller):
    window = labeller.lyric_window(song(lyrics="one"), 0, 100)
    assert window[:3] == [0, 0, 0]
    assert labeller.characters.decode(window) == "one"


def test_one_changed_character_changes_only_the_windows_that_hold_it(labeller):
    changed = song(lyrics="one two three four five six".replace("six", "siv"))
    same = [labeller.lyric_window(song(), o, 100) == labeller.lyric_window(changed, o, 100) for o in range(0, 1000, 100)]
    assert same[:7] == [True] * 7
    assert same[-1] is False


def test_a_labeller_survives_its_config(labeller):
    again = Labeller.from_config(labeller.to_config())
    assert again.to_config() == labeller.to_config()
    assert again.labels(song(), 0, 100).lyrics.equal(labeller.labels(song(), 0, 100).lyrics)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UserError, match=r"unknown artist 'Ana'.*'Anna'"):
        Vocabulary(["Anna", "Ben"]).require("Ana", "artist")


def test_released_genres_are_bags_of_words_and_released_names_are_underscored():
    artists = ReleasedVocabulary([("unknown", 0), ("various", 0), ("ac_dc", 1)], "v2_artists")
    genres = ReleasedVocabulary([("unknown", 0), ("blues", 1), ("rock", 2)], "v2_genres")
    assert (len(artists), artists.id("AC/DC"), artists.id("nobody"), artists.id("")) == (3, 1, 0, 0)
    assert genres.ids("Blues--Rock!") == [1, 2]
    assert genres.ids("Space Rock") == [0, 2]
    with pytest.raises(UserError, match=r"unknown genre 'Blue Rock'.*'blues'"):
        genres.require("Blue Rock", "genre")


def test_the_other_released_lists_match_whole_names():
    genres = ReleasedVocabulary([("unknown", 0), ("blues rock", 1), ("blues rock", 2)], "v3_genres")
    assert (genres.ids("Blues Rock"), genres.ids("Blues-Rock")) == ([2], [0])


def test_a_released_labeller_survives_its_config():
    labeller = Labeller(
        ReleasedVocabulary([("unknown", 0), ("anna_b", 1)], "v2_artists"),
        ReleasedVocabulary([("unknown", 0), ("folk", 1), ("rock", 2)], "v2_genres"),
        ReleasedCharacters("v2"),
        lyric_tokens=6,
    )
    again = Labeller.from_config(json.loads(json.dumps(labeller.to_config())))
    told = again.labels(song(artist="Anna B", genres=("Folk Rock",)), 0, 100)
    assert (told.artist.item(), told.genres.tolist()) == (1, [1, 2, -1, -1, -1])
    assert told.lyrics.equal(labeller.labels(song(), 0, 100).lyrics)


def test_frequent_names_make_a_vocabulary():
    names = ["Ada", "ada", "Ben", "Ada", "", "unknown", "Cora", "Ben", "Dora"]
    assert frequent(names) == ["Ada", "Ben", "Cora", "Dora"]
    assert frequent(names, at_least=2) == ["Ada", "Ben"]
    assert frequent(names, at_most=3) == ["Ada", "Ben", "Cora"]
    assert frequent(reversed(names), at_most=3) == frequent(names, at_most=3)


def test_the_token_sung_at_each_code_follows_the_words(labeller):
    words = (Word("one", 0, 3), Word("two", 5, 8))
    sung = labeller.sung_tokens(song(words=words, lyrics="one two"), 0, 1000, 10)  # a code a second, its middle counts
    window = labeller.lyric_window(song(words=words, lyrics="one two"), 0, 1000)  # "ne two": seven characters, six tokens
    said = ["" if token < 0 else labeller.characters.decode([window[token]]) for token in sung]
    assert said == ["", "n", "e", "", "", "t", "w", "o", "", ""]


def test_the_tokens_sung_in_a_part_are_those_of_the_whole(labeller):
    words = tuple(Word(text, 1.5 * i, 1.5 * i + 1) for i, text in enumerate(LYRICS.split()))
    of_song = song(words=words)
    for offset in (0, 230, 610):
        first, _ = labeller.lyric_span(of_song, offset, 100, len(LYRICS))
        sung = labeller.sung_tokens(of_song, offset, 100, 20)
        for i, token in enumerate(sung):
            seconds = (offset + (i + 0.5) * 5) / 100
            word = next((word for word in words if word.start <= seconds < word.end), None)
            assert (token >= 0) == (word is not None)
            if word:
                letter = int((seconds - word.start) * len(word.text))
                assert first + token == LYRICS.index(word.text) + letter


def test_without_word_times_nobody_knows_what_is_sung(labeller):
    assert labeller.sung_tokens(song(), 300, 100, 4) == [-1] * 4


def test_extended_keeps_every_id_and_adds_what_is_new(labeller):
    other = Labeller(Vocabulary(["cleo", "BEN"]), Vocabulary(["Polka"]), Characters("").including("zoo one"), 0)
    wider = labeller.extended(other)
    assert wider.artists.names == ["unknown", "Anna", "Ben", "cleo"]
    assert wider.genres.names == ["unknown", "folk", "waltz", "Polka"]
    known = labeller.characters.characters
    assert wider.characters.characters == known + "z"
    assert wider.characters.encode(LYRICS) == labeller.characters.encode(LYRICS)
    assert wider.lyric_tokens == labeller.lyric_tokens
    assert labeller.extended(labeller).to_config() == labeller.to_config()
    released = Labeller(ReleasedVocabulary([("anna", 0)], "v3_artists"), Vocabulary([]), ReleasedCharacters("v3"), 6)
    assert released.extended(other).artists.names == other.artists.names
    assert released.extended(other).characters is other.characters
