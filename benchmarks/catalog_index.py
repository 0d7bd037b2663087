"""What a catalog of a million songs costs before the first step: its index, the first batch, a validation.

Command:  python benchmarks/catalog_index.py [--songs 1200000]
Cost:     2 minutes of one CPU core, 2 GB of memory, 400 MB of disk
Result:   a line a step: seconds of processor time, memory the process has grown by since it started, at most and in the end,
          shards that were opened

Shards are made up when they are opened, so none of them exists; a song is a second of noise. Only `Catalog.load` and the
list of songs may grow with the catalog: the rest should cost the same with --songs 12000.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.audio import AudioDataModule
from jukebox_pl import audio
from jukebox_pl.catalog import urls
from jukebox_pl.catalog.shards import CATALOG_FILE, HELD_OUT, SCHEMA, TRAIN, Catalog, ShardSample, shard_file, write_shard
from jukebox_pl.types import Song

SONGS_PER_SHARD, SAMPLES, RATE = 100, 44_100, 44_100
HELD_OUT_SHARE = 100  # one shard in so many is held out
MEGABYTE = 1e6


def song_id(split: str, shard: int, place: int) -> str:
    return f"{'th'[split == HELD_OUT]}{shard:011x}{place:04x}"  # as long as those of `prepare`


def index(songs: int) -> Iterator[str]:
    """catalog.json in pieces, with entries as long as real ones."""
    shards = songs // SONGS_PER_SHARD
    facts = {"sample_rate": RATE, "channels": 1, "max_duration": SAMPLES, "artists": [], "genres": [], "characters": "abc"}
    yield json.dumps({"schema": SCHEMA, **facts})[:-1] + ', "splits": {'
    for split, count in ((TRAIN, shards - shards // HELD_OUT_SHARE), (HELD_OUT, shards // HELD_OUT_SHARE)):
        files = [{"file": shard_file(split, shard), "songs": SONGS_PER_SHARD} for shard in range(count)]
        yield f'{"" if split == TRAIN else ", "}"{split}": {{"shards": {json.dumps(files)}, "songs": ['
        for shard in range(count):
            yield ", " if shard else ""
            yield ", ".join(json.dumps(entry(split, shard, place)) for place in range(SONGS_PER_SHARD))
        yield "]}"
    yield "}}"


def entry(split: str, shard: int, place: int) -> dict[str, Any]:
    artist, labels = f"artist {shard % 5000}", {"genres": ["rock", "blues"], "lyrics": 1200, "words": 0, "warnings": []}
    path, title = f"{artist}/album {shard}/{place:02d} a song.flac", f"a song, the {place}th of {shard}"
    return {"id": song_id(split, shard, place), "path": path, "samples": SAMPLES, "title": title, "artist": artist, **labels}


class MadeUpShards:
    """Opens the URLs of a catalog: its index is a file, its shards are made when they are opened, which is counted."""

    def __init__(self, folder: Path):
        self.folder, self.opened = folder, 0
        noise = 0.1 * np.random.default_rng(0).standard_normal((1, SAMPLES)).astype(np.float32)
        self.flac = audio.encode(noise.clip(-1, 1), RATE)

    def __call__(self, url: str, start: int) -> urls.Rest:
        split, name = url.split("/")[-2:]
        if name == CATALOG_FILE:
            path = self.folder / name
        else:
            self.opened += 1
            path, shard = self.folder / "shard.tar", int(name.removesuffix(".tar"))
            ids = (song_id(split, shard, place) for place in range(SONGS_PER_SHARD))
            write_shard(path, (ShardSample(Song(id, SAMPLES, RATE), self.flac) for id in ids))
        stream = path.open("rb")
        stream.seek(start)
        return urls.Rest(stream, path.stat().st_size)


def memory(field: str) -> float:
    """Of this process in bytes: VmRSS now, VmHWM at most since it was last set back."""
    status = Path("/proc/self/status").read_text()
    return 1024 * float(status.partition(f"{field}:")[2].split()[0])


def measure(folder: Path) -> None:
    shards = MadeUpShards(folder)
    urls.OPENERS["made-up"] = shards
    start = memory("VmRSS")

    def step(name: str, work: Callable[[], Any]) -> Any:
        Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back
        begun, opened = time.process_time(), shards.opened
        result = work()
        seconds, most, now = time.process_time() - begun, memory("VmHWM") - start, memory("VmRSS") - start
        cost = f"{seconds:6.2f} s | {most / MEGABYTE:5.0f} MB at most, {now / MEGABYTE:5.0f} MB in the end"
        print(f"| {name:18} | {cost} | {shards.opened - opened} shards |", flush=True)
        return result

    catalog = step("Catalog.load", lambda: Catalog.load("made-up://catalog"))
    print(f"  {len(catalog.songs(TRAIN)):,} training songs, {len(catalog.songs(HELD_OUT)):,} held out")
    del catalog
    module = step("AudioDataModule", lambda: AudioDataModule("made-up://catalog", clip=8192, batch_size=32))
    step("lists of songs", lambda: module.setup("fit"))
    step("loudness, 64 clips", module.loudness_clips)
    step("first batch", lambda: next(iter(module.train_dataloader())))
    step("validation", lambda: list(module.val_dataloader()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=1_200_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        measure(options.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder) / CATALOG_FILE, "w") as file:
            file.writelines(index(options.songs))
        # In a process of its own, whose memory has held nothing else.
        subprocess.run([sys.executable, __file__, "--folder", folder], check=True)


if __name__ == "__main__":
    main()
