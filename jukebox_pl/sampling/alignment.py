"""When a sampled song sings each word: the attention of one head to the lyrics, made a path through them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jukebox_pl.models.lyric_attention import lyric_attention
from jukebox_pl.models.prior import Prior
from jukebox_pl.sampling.conditioning import ConditioningSchedule, condition
from jukebox_pl.sampling.windows import windows
from jukebox_pl.text.labels import Labeller, word_spans
from jukebox_pl.types import Song, Word

HELD = 4.0  # times what a character usually takes: a word's last two are sung no longer, what follows is a pause
COLUMNS = 900  # of a picture of attention over time
LEAST = 1e-4  # attention that is as good as none; a head is wrong now and then, and no single code decides


class TextAttention(NamedTuple):
    """How the codes [first, last) of a request look at the characters of one of its texts: [last - first, characters].

    `text` is the part of the song, from sample `begin` on, over which its lyrics are spread.
    """

    text: Song
    begin: int
    first: int
    last: int
    attention: Tensor


def align(
    prior: Prior,
    labeller: Labeller,
    schedule: ConditioningSchedule,
    codes: Tensor,
    samples_per_code: int,
    layer: int,
    head: int,
    hop_fraction: float = 0.5,
) -> list[TextAttention]:
    """codes [T] of a request, of the level that reads lyrics, to what one head looks at while it foresees them.

    Where windows overlap, the earlier one counts: the characters of each were chosen for its own middle.
    """
    firsts = [min(-(-segment.begin // samples_per_code), len(codes)) for segment in schedule.segments]
    segments = list(zip(schedule.segments, firsts, [*firsts[1:], len(codes)], strict=True))
    found: dict[tuple[Song, int], TextAttention] = {}
    for segment, first, last in segments:
        key = segment.text, segment.text_begin
        if characters := len(labeller.characters.encode(segment.text.lyrics)):
            of_text = found.setdefault(key, TextAttention(*key, first, last, torch.zeros(len(codes), characters)))
            found[key] = of_text._replace(last=last)
    duration = prior.ctx * samples_per_code
    for start, end in reversed(list(windows(len(codes), prior.ctx, max(int(hop_fraction * prior.ctx), 1)))):
        offset = schedule.offset + start * samples_per_code
        for segment, first, last in segments:
            here = slice(max(start, first), min(end, last))
            if here.start >= here.stop or (segment.text, segment.text_begin) not in found:
                continue
            picture = found[segment.text, segment.text_begin].attention
            cond = condition(prior, [segment.labels(labeller, offset, duration)], [segment.weights], None, codes.device)
            ((_, looks),) = lyric_attention(prior, codes[None, start:end], cond, [layer])
            begin, stop = labeller.lyric_span(segment.text, offset - segment.text_begin, duration, picture.shape[1])
            seen = looks[0, head, here.start - start : here.stop - start, looks.shape[-1] - (stop - begin) :]
            picture[here, begin:stop] = seen.cpu()
    return [of_text._replace(attention=of_text.attention[of_text.first : of_text.last]) for of_text in found.values()]


def attention_over_time(texts: list[TextAttention], codes: int) -> Tensor:
    """Of so many codes what equal spans of time look at most: [at most COLUMNS, characters of all texts in order]."""
    columns, characters = min(codes, COLUMNS), [text.attention.shape[1] for text in texts]
    picture, begin = np.zeros((columns, sum(characters)), np.float32), 0
    for text, width in zip(texts, characters, strict=True):
        places = np.arange(text.first, text.last) * columns // codes
        np.maximum.at(picture[:, begin : begin + width], places, text.attention.float().numpy())
        begin += width
    return torch.from_numpy(picture)


def sung_words(found: TextAttention, labeller: Labeller, offset: int, samples_per_code: int) -> list[Word]:
    """The words of a text with their seconds in a request that begins at sample `offset` of its song.

    All of them where the request holds all the text's time; else those that the path comes by.
    """
    text = found.text
    since = offset + found.first * samples_per_code - found.begin  # samples since the text begins
    until = offset + found.last * samples_per_code - found.begin
    moments = (since + (np.arange(found.last - found.first) + 0.5) * samples_per_code) / text.duration
    from_start, to_end = since < samples_per_code, until >= text.duration
    path = character_path(found.attention.float().numpy(), moments, from_start, to_end)
    words = [Word(word, 0.0, 0.0) for word in text.lyrics.split()]
    spans = word_spans(labeller.characters.clean(text.lyrics), words, labeller.characters)
    begun = np.searchsorted(path, np.arange(path[0] + 1, path[-1] + 1))  # where each character begins
    held = round(HELD * float(np.median(np.diff(begun)))) if len(begun) > 1 else len(path)
    sung = []
    for word, (start, end) in zip(words, spans, strict=True):
        first, last = np.searchsorted(path, start + 1), np.searchsorted(path, end, side="right")
        last = min(last, np.searchsorted(path, max(start + 1, end - 1)) + held)  # the last two share a column
        if (from_start or last > 0) and (to_end or first < len(path)):
            times = ((found.first + int(at)) * samples_per_code / text.sample_rate for at in (first, max(first, last)))
            sung.append(Word(word.text, *times))
    return sung


def character_path(attention: np.ndarray, even: np.ndarray, from_start: bool = True, to_end: bool = True) -> np.ndarray:
    """attention [T, characters] to how many characters are begun at each code, int [T]: the likeliest path that never goes
    back (Viterbi), and skips none unless there are fewer codes than characters.

    Column i of the attention has seen the characters before i, so it is that of character i - 1; that of the last one is
    not there, and takes the column before. `even` [T], the part of the text that an even spread would have sung, leads
    where the attention says nothing. A path leads `from_start` `to_end`, or is open there.
    """
    codes, characters = attention.shape
    usual = attention.mean(0) + 1 / characters  # what a column gets anyway: a head may rest on a blank all the time
    places = np.arange(characters + 1)
    most = -(-characters // codes)  # characters a code
    best = np.where(places <= most, 0.0, -np.inf) if from_start else np.zeros(characters + 1)
    steps = np.zeros((codes, characters + 1), np.min_scalar_type(most))
    for at, row in enumerate(attention):
        if at:
            reached = best
            for step in range(1, most + 1):
                from_before = np.append(np.full(step, -np.inf), best[:-step])
                steps[at][from_before > reached] = step
                reached = np.maximum(reached, from_before)
            best = reached
        evidence = np.log((row + LEAST) / usual)
        best = best + np.append(evidence, evidence[-1]) - (places / characters - even[at]) ** 2
    path = np.empty(codes, np.int64)
    path[-1] = characters if to_end else best.argmax()
    for at in range(codes - 1, 0, -1):
        path[at - 1] = path[at] - steps[at, path[at]]
    return path
