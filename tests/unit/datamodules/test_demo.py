import itertools
import json
import re

import librosa
import numpy as np
import pytest

from datamodules.demo import COLUMNS, PEAK, WORDS, make_song, write_demo_catalog
from datamodules.demo.bands import GENRES
from datamodules.demo.voices import ARTISTS, CHARACTER_SOUNDS, sing
from jukebox_pl import audio
from jukebox_pl.errors import UserError

RATE = 11025
SLOT = 1575


def vocal_of(text, artist="Ada Bell", slots=12, rest=0):
    notes = np.full(slots, ARTISTS[artist].register)
    return sing(text, ARTISTS[artist], notes, SLOT, RATE, np.random.default_rng(0), rest)


def song(index, seconds=5.0):
    artist, genre = list(ARTISTS)[index % 4], list(GENRES)[index % 3]
    return make_song(artist, genre, seconds, RATE, np.random.default_rng([7, index]))


def log_mel(sound, bands=64):
    return np.log(librosa.feature.melspectrogram(y=sound, sr=RATE, n_mels=bands, n_fft=1024, hop_length=256) + 1e-3)


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_same_arguments_give_the_same_bytes(tmp_path):
    one, two, other = (tmp_path / name for name in "abc")
    for folder, seed in ((one, 0), (two, 0), (other, 1)):
        write_demo_catalog(folder, songs=2, seconds=4, seed=seed)
    assert files(one) == files(two)
    assert files(one)["audio/000.flac"] != files(other)["audio/000.flac"]


def test_the_catalog_names_its_files(tmp_path):
    header, row, *_ = write_demo_catalog(tmp_path / "demo", songs=2, seconds=4).read_text().splitlines()
    fields = dict(zip(header.split(","), row.split(","), strict=True))
    assert tuple(fields) == COLUMNS
    assert all((tmp_path / "demo" / fields[name]).is_file() for name in ("path", "lyrics", "words"))
    sound, rate = audio.read(tmp_path / "demo" / fields["path"])
    assert (sound.shape, rate) == ((1, 4 * RATE), RATE)


def test_a_whole_catalog_is_left_alone_and_another_is_refused(tmp_path):
    path = write_demo_catalog(tmp_path / "demo", songs=1, seconds=4)
    path.write_text("mine")
    assert write_demo_catalog(tmp_path / "demo", songs=1, seconds=4).read_text() == "mine"
    with pytest.raises(UserError, match="not empty"):
        write_demo_catalog(tmp_path / "demo", songs=1, seconds=5)


def test_what_is_cut_short_leaves_no_catalog(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("datamodules.demo.songs.write_song", killed)
    with pytest.raises(KeyboardInterrupt):
        write_demo_catalog(tmp_path / "demo", songs=1, seconds=4)
    assert not list(tmp_path.iterdir())


def test_too_short_a_song_is_refused(tmp_path):
    with pytest.raises(UserError, match="at least 3 seconds"):
        write_demo_catalog(tmp_path / "demo", seconds=1)


@pytest.mark.parametrize("genre", GENRES)
@pytest.mark.parametrize("artist", ARTISTS)
def test_songs_are_clean(artist, genre):
    mix = make_song(artist, genre, 5.0, RATE, np.random.default_rng(0)).mix
    assert np.abs(mix).max() == pytest.approx(PEAK, abs=1e-3)
    assert abs(mix.mean()) < 0.01
    assert mix[0] == mix[-1] == 0
    assert (np.abs(mix) > 0.99 * PEAK).mean() < 1e-3


def test_songs_fit_other_sample_rates():
    for rate in (8000, 44100):
        mix = make_song("Mira Hush", "March", 3.0, rate, np.random.default_rng(0)).mix
        assert np.isfinite(mix).all()
        assert len(mix) == 3 * rate


def test_artists_and_genres_can_be_told_apart():
    songs = [song(i) for i in range(48)]
    spectra = [log_mel(s.mix) for s in songs]
    features = np.array([np.concatenate([m.mean(axis=1), m.std(axis=1)]) for m in spectra])
    features = (features - features[:24].mean(axis=0)) / features[:24].std(axis=0)
    for names in (np.array([s.artist for s in songs]), np.array([s.genre for s in songs])):
        known = np.unique(names)
        centroids = np.array([features[:24][names[:24] == name].mean(axis=0) for name in known])
        nearest = ((features[24:, None] - centroids) ** 2).sum(axis=-1).argmin(axis=1)
        assert (known[nearest] == names[24:]).mean() > 0.9


def test_genres_differ_in_rhythm_and_harmony():
    onsets, chroma = {}, {}
    for i, genre in enumerate(GENRES):
        band = song(i).mix - song(i).vocal
        onsets[genre] = librosa.onset.onset_strength(y=band, sr=RATE).std()
        chroma[genre] = librosa.feature.chroma_stft(y=band, sr=RATE).mean(axis=1)
    assert onsets["Drone"] < 0.5 * min(onsets["Waltz"], onsets["March"])
    for one, two in itertools.combinations(chroma.values(), 2):
        assert np.corrcoef(one, two)[0, 1] < 0.8


@pytest.mark.parametrize("artist", ARTISTS)
def test_every_pair_of_characters_sounds_different(artist):
    def decibels(character):
        spectrum = librosa.feature.melspectrogram(
            y=vocal_of(character, artist, slots=1)[0] if character.strip() else np.zeros(SLOT),
            sr=RATE,
            n_fft=512,
            hop_length=128,
            n_mels=32,
        )
        return librosa.power_to_db(spectrum, amin=1e-3)

    sounds = {c: decibels(c) for c in CHARACTER_SOUNDS if c != "\n"}
    for one, two in itertools.combinations(sounds, 2):
        distance = np.abs(sounds[one] - sounds[two]).mean()
        assert distance > 2.5, (one, two, distance)


def test_one_character_changes_its_own_slot_only():
    first, second = (vocal_of(text)[0].reshape(-1, SLOT) for text in ("lana misu", "lana tisu"))
    assert list(np.flatnonzero((first != second).any(axis=1))) == [5]


def test_slots_end_in_silence():
    slots = vocal_of("solami tu")[0].reshape(-1, SLOT)
    assert np.abs(slots[:, [0, -1]]).max() == 0


def test_words_are_sung_when_they_say():
    song_ = song(1)
    seconds = np.arange(len(song_.vocal)) / RATE
    sung = np.zeros(len(seconds), dtype=bool)
    for word in song_.words:
        during = (seconds >= word.start) & (seconds < word.end)
        assert np.sqrt((song_.vocal[during] ** 2).mean()) > 0.03
        sung |= during
    assert np.abs(song_.vocal[~sung]).max() < 1e-6
    assert [word.text for word in song_.words] == song_.lyrics.split()


def test_a_new_line_rests_longer_than_a_blank():
    (_, one), (_, two) = vocal_of("la na", rest=2), vocal_of("la\nna", rest=2)
    slot = SLOT / RATE
    assert [w.start / slot for w in one] == pytest.approx([2, 5])
    assert [w.start / slot for w in two] == pytest.approx([2, 6])


def test_text_longer_than_the_melody_is_refused():
    with pytest.raises(ValueError, match="4 slots to sing but 3 notes"):
        vocal_of("lana", slots=3)


def test_words_use_every_character_that_has_a_sound():
    assert set("".join(WORDS)) == {c for c in CHARACTER_SOUNDS if not re.match(r"\s", c)}


def test_free_syllables_and_lengths_are_as_asked(tmp_path):
    options = {"songs": 6, "seconds": 5.0, "shortest_seconds": 3.5, "syllables": {"consonants": "ln", "vowels": "ao"}}
    path = write_demo_catalog(tmp_path / "demo", **options)
    texts = [file.read_text() for file in sorted((path.parent / "lyrics").iterdir())]
    assert all(re.fullmatch(r"([ln][ao]){1,3}(\s([ln][ao]){1,3})*", text) for text in texts)
    assert len(set(" ".join(texts).split())) > 12
    lengths = [audio.read(file)[0].shape[1] / RATE for file in sorted((path.parent / "audio").iterdir())]
    assert all(3.5 <= length <= 5.0 for length in lengths)
    assert max(lengths) - min(lengths) > 0.3
    with pytest.raises(UserError, match="not empty"):
        write_demo_catalog(tmp_path / "demo", **{**options, "syllables": None})


def test_a_catalog_of_before_the_options_is_still_known(tmp_path):
    path = write_demo_catalog(tmp_path / "demo", songs=1, seconds=4)
    assert json.loads((path.parent / "demo.json").read_text()) == {
        "songs": 1,
        "seconds": 4,
        "sample_rate": RATE,
        "seed": 0,
    }
