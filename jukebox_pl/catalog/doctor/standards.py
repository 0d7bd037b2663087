"""From where something is worth a word, and what a catalog of some size is enough for: every threshold of the doctor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jukebox_pl.audio.files import SAMPLE_RATE


@dataclass(frozen=True)
class Standards:
    """What songs are held against: the `sample_rate` and `channels` they are prepared in, and limits.

    The limits are our judgement where no source is named; "real songs" are the 12 of DECISIONS.md.

    `clipped_share`: real songs have up to 3e-7; driven 3 dB over full scale they have 2e-5 and more, 6 dB 3e-4 and more.
    `bandwidth_share` of half the sample rate: real songs have 0.72 and more, sound that was at 22,050 Hz has 0.5.
    `mono_decibels`: real songs lose up to 1.8 dB when mixed to one channel, unrelated channels 3, opposite ones all.
    `same_decibels`: what channels lose that differ by a hundredth of their level.
    `most_words_per_second`: a hit single has at most 1,560 words in 364 s, 4.3 a second (Guinness World Records: "Rap God").
    `least_characters_per_second`: about 20 English words in four minutes.
    `few_songs` of a label, and occurrences of a `rare_character`: fewer are too few to learn it from.
    """

    sample_rate: int = SAMPLE_RATE
    channels: int = 1
    clipped_share: float = 1e-4
    silent_share: float = 0.25
    edge_silence_seconds: float = 5.0
    dc_offset: float = 0.01
    loudness_decibels: float = -36.0
    bandwidth_share: float = 0.6
    mono_decibels: float = -6.0
    same_decibels: float = -1e-4
    quietest_channel_decibels: float = -30.0
    most_words_per_second: float = 5.0
    most_characters_per_second: float = 30.0
    least_characters_per_second: float = 0.4
    expected_script_share: float = 0.5
    late_words_seconds: float = 1.0
    few_songs: int = 3
    rare_character: int = 10


@dataclass(frozen=True)
class Size:
    """From so many `hours` a catalog is `enough_for` this, and what that rests on."""

    hours: float
    enough_for: str
    evidence: str


SIZES = (
    Size(
        0.0,
        "seeing that everything runs; what is sung will be pieces of these songs",
        "our judgement; the smallest fine-tuning that was found reported used 12 minutes of one kind",
    ),
    Size(
        0.25,
        "fine-tuning a bundle that was trained on more; expect it to copy",
        "the tutorial of ACE-Step 1.5 adapts it to an album of 13 songs; one hour alone overfitted (openai/jukebox#188)",
    ),
    Size(
        2.0,
        "fine-tuning; a prior of its own would copy whole passages",
        "three hours came back as distorted copies (marcoppasini/musika#18); a codec trained on 11 hours had no result "
        "after three weeks on one GPU (openai/jukebox#253)",
    ),
    Size(
        10.0,
        "a small prior of its own where the songs are of one kind, else for fine-tuning",
        "ten hours can do for a consistent style, the published metal model had about a hundred (marcoppasini/musika#32)",
    ),
    Size(
        50.0,
        "a small prior of its own",
        "our judgement, between ten hours of one style and the 7,000 songs of openai/jukebox#188",
    ),
    Size(
        450.0,
        "every stage from scratch, without lyrics",
        "7,000 songs, about 450 hours, and 400,000 steps worked well (openai/jukebox#188)",
    ),
)
SUNG_SIZES = (
    Size(0.0, "nothing: leave the stage lyrics_prior out", "there are no lyrics"),
    Size(
        1e-9,
        "fine-tuning a bundle that sings already; by themselves they are not expected to be heard",
        "900 spoken sentences, at most 7.5 hours, are few for attention to form, another set should come first "
        "(axelspringer/ForwardTacotron#69)",
    ),
    Size(
        24.0,
        "trying to graft lyrics on a trained prior, with word times",
        "attention forms reliably on LJ Speech (keithito/tacotron#78), 24 hours of one voice; a song with a band is harder",
    ),
    Size(
        10_000.0,
        "lyrics that may be understood",
        "our judgement: about an eighth of the 1.2 million songs of Jukebox (Dhariwal et al. 2020)",
    ),
)


def judge(hours: float, sizes: Sequence[Size]) -> Size:
    """The last of `sizes`, which begin at 0, that `hours` reach."""
    return max((size for size in sizes if size.hours <= hours), key=lambda size: size.hours)
