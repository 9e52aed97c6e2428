"""The XML of ELAN's files as records: EAF, any version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from speechxfer.data.annotations.tiers import Media
from speechxfer.errors import DataError
from speechxfer.placeholders import placeholder

_HEAD = 64


@dataclass
class Annotation:
    """A text whose times are two slots, or follow from the annotation that it belongs to."""

    id: str
    line: int
    #: The ids of the slots of its start and end; None where it has a parent.
    slots: tuple[str, str] | None
    parent: str | None
    previous: str | None
    text: str = ""


@dataclass
class DocumentTier:
    """A tier as it is written; `parent` is the name of another one."""

    name: str
    participant: str | None
    parent: str | None
    annotations: list[Annotation] = field(default_factory=list)


@dataclass
class Document:
    """A file; its slots, in order, have seconds, or None where there is no time."""

    media: list[Media] = field(default_factory=list)
    slots: dict[str, float | None] = field(default_factory=dict)
    tiers: list[DocumentTier] = field(default_factory=list)


def parse(path: Path) -> Document:
    """Read a file of ELAN.

    Raises:
        DataError: it cannot be read, is not well-formed XML or no file of ELAN, declares entities (which may expand to
            gigabytes), or lacks an attribute.
    """
    try:
        with path.open("rb") as file:
            if found := placeholder(file.peek(_HEAD)[:_HEAD]):
                raise DataError(f"{path}: {found}")
            reader = _Reader(path)
            reader.parser.ParseFile(file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); wanted a file of ELAN") from error
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two for encodings
        reason = f"{path}:{reader.parser.CurrentLineNumber}: is not well-formed XML ({str(error).partition(':')[0]})"
        raise DataError(f"{reason}; ELAN keeps copies beside a file, such as {path.name}.001") from error
    return reader.document


class _Reader:
    """Fills a document from the parser's events."""

    def __init__(self, path: Path) -> None:
        self.document = Document()
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._first
        self.parser.EntityDeclHandler = self._refuse_entity
        self._path = path
        self._element = ""
        self._num_audio = 0

    def _first(self, name: str, attributes: Mapping[str, str]) -> None:
        if name != "ANNOTATION_DOCUMENT":
            raise self._error(f"<{name[:60]}> is no file of ELAN; wanted <ANNOTATION_DOCUMENT>")
        self.parser.StartElementHandler = self._start

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._element = name
        match name:
            case "HEADER":
                if (unit := attributes.get("TIME_UNITS", "milliseconds")) != "milliseconds":
                    raise self._error(f"TIME_UNITS is {unit!r:.60}; wanted milliseconds (save it again in ELAN)")
            case "MEDIA_DESCRIPTOR":
                paths = (attributes.get(name, "") for name in ("RELATIVE_MEDIA_URL", "MEDIA_URL"))
                offset = self._seconds(attributes, "TIME_ORIGIN") or 0.0
                is_audio = attributes.get("MIME_TYPE", "").startswith("audio/")  # a film may have its sound in a file
                media = self.document.media
                media.insert(self._num_audio if is_audio else len(media), Media(tuple(filter(None, paths)), offset))
                self._num_audio += is_audio
            case "TIME_SLOT":
                time = self._seconds(attributes, "TIME_VALUE")
                # ELAN writes no negative times, and reads them as none.
                self.document.slots[self._value(attributes, "TIME_SLOT_ID")] = None if time and time < 0 else time
            case "TIER":
                parent, participant = attributes.get("PARENT_REF"), attributes.get("PARTICIPANT", "").strip()
                self.document.tiers.append(
                    DocumentTier(self._value(attributes, "TIER_ID"), participant or None, parent)
                )
            case "ALIGNABLE_ANNOTATION":
                slots = self._value(attributes, "TIME_SLOT_REF1"), self._value(attributes, "TIME_SLOT_REF2")
                self._annotate(Annotation(self._value(attributes, "ANNOTATION_ID"), 0, slots, None, None))
            case "REF_ANNOTATION":
                parent, previous = self._value(attributes, "ANNOTATION_REF"), attributes.get("PREVIOUS_ANNOTATION")
                self._annotate(Annotation(self._value(attributes, "ANNOTATION_ID"), 0, None, parent, previous))

    def _annotate(self, annotation: Annotation) -> None:
        if not self.document.tiers:
            raise self._error(f"<{self._element}> is outside of a tier; wanted it in a <TIER>")
        annotation.line = self.parser.CurrentLineNumber
        self.document.tiers[-1].annotations.append(annotation)
        self.parser.CharacterDataHandler = lambda text: self._extend(annotation, text)

    def _extend(self, annotation: Annotation, text: str) -> None:
        if self._element == "ANNOTATION_VALUE":
            annotation.text += text

    def _seconds(self, attributes: Mapping[str, str], name: str) -> float | None:
        if name not in attributes:
            return None
        try:
            return int(attributes[name]) / 1000
        except ValueError:
            raise self._error(f"{name} is {attributes[name]!r:.60}; wanted whole milliseconds") from None

    def _value(self, attributes: Mapping[str, str], name: str) -> str:
        if name not in attributes:
            raise self._error(f"<{self._element}> has no {name}; wanted a file that ELAN can open")
        return attributes[name]

    def _refuse_entity(self, name: str, *_definition: object) -> None:
        raise self._error(f"declares the entity {name[:60]!r}; wanted a file of ELAN, which has none")

    def _error(self, message: str) -> DataError:
        return DataError(f"{self._path}:{self.parser.CurrentLineNumber}: {message}")
