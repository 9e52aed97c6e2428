"""How readable subtitles are, by the limits of Netflix's Timed Text Style Guide, before and after choosing breaks.

    speechxfer transcribe MODEL talk.wav --format json > talk.json
    python -m scripts.bench.subtitles talk.json --longest-pause 0.2

`--longest-pause` shortens the pauses between words, so that sentences that were read one by one become fluent speech.

"filled" puts words into a cue until its two lines are full, until 7 s or a pause of 0.8 s, and shows it while they are
spoken; "chosen" is what `transcribe --format srt` writes. Fractions are of cues, or of places where one ends.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

import speechxfer as sx
from speechxfer.inference.subtitles import Cue, cues

_PAUSE_S = 0.25
_PUNCTUATION = tuple(".,;:?!…")


def transcript_of(path: Path) -> sx.Transcript:
    """A transcript that was written as JSON."""
    read = json.loads(path.read_text(encoding="utf-8"))
    segments = [
        sx.Segment(
            one["start"], one["end"], one["text"],
            tuple(sx.Word(word["text"], word["start"], word["end"]) for word in one["words"]),
        )
        for one in read["segments"]
    ]  # fmt: skip
    return sx.Transcript(read["text"], tuple(segments), read["duration"], read["source"])


def fluent(transcript: sx.Transcript, longest_pause_s: float) -> sx.Transcript:
    """The transcript with shorter pauses, as one segment."""
    words: list[sx.Word] = []
    shift, until = 0.0, 0.0
    for word in (word for segment in transcript.segments for word in segment.words):
        shift += max(word.start - until - longest_pause_s, 0.0)
        until = word.end
        words.append(sx.Word(word.text, word.start - shift, word.end - shift))
    segment = sx.Segment(words[0].start, words[-1].end, transcript.text, tuple(words))
    return sx.Transcript(transcript.text, (segment,), words[-1].end + longest_pause_s, transcript.source)


def filled(transcript: sx.Transcript, options: sx.SubtitleOptions) -> Iterator[Cue]:
    """Cues that are filled with words one after the other."""
    for segment in transcript.segments:
        group: list[sx.Word] = []
        for word in segment.words:
            lines = textwrap.wrap(" ".join(one.text for one in [*group, word]), options.line_length)
            pause = word.start - group[-1].end if group else 0.0
            too_long = bool(group) and word.end - group[0].start > options.max_duration
            if group and (pause >= 0.8 or too_long or len(lines) > options.lines):
                yield _spoken(group, options)
                group = []
            group.append(word)
        if group:
            yield _spoken(group, options)


def _spoken(words: Sequence[sx.Word], options: sx.SubtitleOptions) -> Cue:
    lines = textwrap.wrap(" ".join(word.text for word in words), options.line_length)
    return Cue(round(1000 * words[0].start), round(1000 * words[-1].end), tuple(lines))


def figures(shown: Sequence[Cue], words: Sequence[sx.Word], options: sx.SubtitleOptions) -> dict[str, float]:
    """What is wrong with cues, as fractions of them."""
    inner_ends = place = 0
    for cue in shown[:-1]:
        place += len(" ".join(cue.lines).split())
        last, following = words[place - 1], words[place]
        inner_ends += following.start - last.end < _PAUSE_S and not last.text.endswith(_PUNCTUATION)
    seconds = [(cue.end_ms - cue.start_ms) / 1000 for cue in shown]
    speeds = [len(" ".join(cue.lines)) / time for cue, time in zip(shown, seconds, strict=True)]
    lines = [line for cue in shown if len(cue.lines) > 1 for line in cue.lines]
    short_ends = [line for cue in shown for line in cue.lines if len(line.split()[-1]) <= 3 and line[-1].isalpha()]
    counts = {
        "too_fast": sum(speed > options.characters_per_second for speed in speeds),
        "shorter_than_5/6_s": sum(time < options.min_duration - 0.001 for time in seconds),
        "end_inside_a_clause": inner_ends,
        "with_an_orphan_line": sum(" " not in line for line in lines),
        "line_ends_in_a_short_word": len(short_ends),
    }
    return {"cues": len(shown), **{name: round(count / len(shown), 3) for name, count in counts.items()}}


@click.command(cls=sx.Command)
@click.argument("paths", metavar="TRANSCRIPTS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--longest-pause", type=float, help="Seconds between two words at most.")
def main(paths: tuple[Path, ...], longest_pause: float | None) -> None:
    """Print figures of both ways for transcripts with word times, as JSON."""
    options = sx.SubtitleOptions()
    for path in paths:
        read = transcript_of(path)
        transcript = read if longest_pause is None else fluent(read, longest_pause)
        words = [word for segment in transcript.segments for word in segment.words]
        for name, shown in (("filled", list(filled(transcript, options))), ("chosen", cues(transcript, options))):
            print(json.dumps({"transcript": path.name, "cues_are": name, **figures(shown, words, options)}))


if __name__ == "__main__":
    main()
