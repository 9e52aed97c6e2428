"""From the results of a stream to events of a session: one item for each turn of the speaker."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from speechxfer.data.characters import joined
from speechxfer.inference import Segment
from speechxfer.inference.streaming import StreamResult
from speechxfer.server import responses
from speechxfer.server.responses import new_id

Event = dict[str, Any]
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


@dataclass
class _Item:
    """A turn that is not complete yet.

    Attributes:
        sent: the text of its deltas.
        final: results that will not change.
        likely: the last text that may.
    """

    id: str = field(default_factory=lambda: new_id("item"))
    sent: str = ""
    final: list[StreamResult] = field(default_factory=list)
    likely: str = ""

    def text_with(self, text: str) -> str:
        """The text up to now, and what follows it."""
        return joined([*(result.text for result in self.final), text]).strip()


class Turns:
    """The events of a session's turns.

    A delta is sent when two results that follow one another agree on its words, without the last, which may be
    cut. So a delta is never taken back; should a word turn out to be another, `completed` has the transcript.

    Args:
        by_voice: whether each final result is a turn; else the client says when one ends.
        logprobs: whether events have the words' log-probabilities.
        offset_s: where in the session the stream began.
        previous: the item before.
    """

    def __init__(self, *, by_voice: bool, logprobs: bool, offset_s: float = 0.0, previous: str | None = None) -> None:
        self.by_voice, self._logprobs, self._offset_s = by_voice, logprobs, offset_s
        self.previous = previous
        self._item: _Item | None = None

    def events(self, results: Iterable[StreamResult]) -> Iterator[Event]:
        """The events of some results."""
        for result in results:
            if result.text or result.final:
                yield from self._begun(result)
                yield from self._grown(result)
                if result.final and self.by_voice:
                    yield {"type": "input_audio_buffer.speech_stopped", "item_id": self._open.id, "audio_end_ms": self._ms(result.end)}  # fmt: skip  # noqa: E501
                    yield from self.complete(result.end - result.start)

    def complete(self, seconds: float) -> Iterator[Event]:
        """The end of a turn, which lasted so many seconds."""
        item, self._item = self._open, None
        yield {"type": "input_audio_buffer.committed", "item_id": item.id, "previous_item_id": self.previous}
        self.previous = item.id
        segments = [self._segment(result) for result in item.final]
        completed = {**self._about(item, "completed"), "transcript": item.text_with("")}
        if self._logprobs:
            completed["logprobs"] = responses.logprobs(segments)
        # Beyond what OpenAI's client knows: times in seconds.
        completed |= {"words": responses.words(segments), **responses.span(segments)}
        yield {**completed, "usage": {"type": "duration", "seconds": round(seconds, 3)}}

    def failed(self, error: dict[str, Any]) -> Iterator[Event]:
        """The end of a turn that could not be recognized."""
        item, self._item = self._open, None
        yield {**self._about(item, "failed"), **error}

    @property
    def _open(self) -> _Item:
        self._item = self._item or _Item()
        return self._item

    def _begun(self, result: StreamResult) -> Iterator[Event]:
        if self.by_voice and self._item is None:
            yield {"type": "input_audio_buffer.speech_started", "item_id": self._open.id, "audio_start_ms": self._ms(result.start)}  # fmt: skip  # noqa: E501

    def _grown(self, result: StreamResult) -> Iterator[Event]:
        """A delta, if more is certain than was sent."""
        item = self._open
        text = item.text_with(result.text)
        certain = text if result.final else _agreed(item.likely, text)
        item.likely = text
        if result.final:
            item.final.append(result)
        if len(certain) > len(item.sent) and certain.startswith(item.sent):
            delta, item.sent = certain[len(item.sent) :], certain
            yield {**self._about(item, "delta"), "delta": delta}

    def _about(self, item: _Item, kind: str) -> Event:
        return {"type": f"{_TRANSCRIPTION}.{kind}", "item_id": item.id, "content_index": 0}

    def _segment(self, result: StreamResult) -> Segment:
        """A result with times from the beginning of the session."""
        at = self._offset_s
        words = tuple(replace(word, start=at + word.start, end=at + word.end) for word in result.words)
        return Segment(at + result.start, at + result.end, result.text, words, result.confidence)

    def _ms(self, seconds: float) -> int:
        return round(1000 * (self._offset_s + seconds))


def _agreed(before: str, text: str) -> str:
    """The words that both texts begin with, without the last of the shorter."""
    pairs = zip(before.split(" ")[:-1], text.split(" ")[:-1], strict=False)
    return " ".join(word for word, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
