"""Transcripts as files of ELAN (EAF 3.0), which link their recordings."""

from __future__ import annotations

import datetime
import itertools
import mimetypes
import re
from pathlib import Path
from xml.etree import ElementTree

from speechxfer.inference.transcript import Transcript
from speechxfer.inference.writers.tiers import Label, tiers

_SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
#: What ELAN means by a tier whose annotations lie in those of its parent.
_INCLUDED = "Time alignable annotations within the parent annotation's time interval, gaps are allowed"
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def eaf(transcript: Transcript) -> str:
    """A tier of segments, and below it one of words if they have times, each within its segment."""
    found = list(tiers(transcript))
    segments = [segment for segment, _ in found]
    words = [word for _, of_segment in found for word in of_segment]
    document = ElementTree.Element("ANNOTATION_DOCUMENT", _document())
    header = ElementTree.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    _link(header, transcript.source)
    last = ElementTree.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    last.text = str(len(segments) + len(words))
    slots = _Slots(ElementTree.SubElement(document, "TIME_ORDER"), [*segments, *words])
    _tier(document, slots, segments, TIER_ID="segments", LINGUISTIC_TYPE_REF="default-lt")
    if words:
        _tier(document, slots, words, TIER_ID="words", LINGUISTIC_TYPE_REF="words", PARENT_REF="segments")
    _types(document)
    ElementTree.indent(document, "    ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(document, encoding="unicode")}\n'


def _document() -> dict[str, str]:
    return {
        "AUTHOR": "speechxfer",
        "DATE": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "FORMAT": "3.0",
        "VERSION": "3.0",
        _SCHEMA: "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
    }


def _link(header: ElementTree.Element, source: str | None) -> None:
    """Link the recording, by its absolute path and as it is beside the file."""
    if source and source != "-":
        path = Path(source).absolute()
        kind = mimetypes.guess_type(path.name)[0] or "unknown"
        places = {"MEDIA_URL": path.as_uri(), "RELATIVE_MEDIA_URL": _NO_XML.sub("", f"./{path.name}")}
        ElementTree.SubElement(header, "MEDIA_DESCRIPTOR", {**places, "MIME_TYPE": kind})


class _Slots:
    """Two time slots for each label, in the order of their times."""

    def __init__(self, order: ElementTree.Element, labels: list[Label]) -> None:
        times = sorted(itertools.chain.from_iterable((label.start_ms, label.end_ms) for label in labels))
        self._unused: dict[int, list[str]] = {}
        for number, time in enumerate(times, 1):
            ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=str(time))
            self._unused.setdefault(time, []).append(f"ts{number}")
        self._ids = itertools.count(1)

    def of(self, label: Label) -> dict[str, str]:
        """The attributes of a label's annotation."""
        start, end = self._unused[label.start_ms].pop(), self._unused[label.end_ms].pop()
        return {"ANNOTATION_ID": f"a{next(self._ids)}", "TIME_SLOT_REF1": start, "TIME_SLOT_REF2": end}


def _tier(document: ElementTree.Element, slots: _Slots, labels: list[Label], **attributes: str) -> None:
    tier = ElementTree.SubElement(document, "TIER", attributes)
    for label in labels:
        annotation = ElementTree.SubElement(tier, "ANNOTATION")
        aligned = ElementTree.SubElement(annotation, "ALIGNABLE_ANNOTATION", slots.of(label))
        ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = _NO_XML.sub("", label.text)


def _types(document: ElementTree.Element) -> None:
    common = {"GRAPHIC_REFERENCES": "false", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(document, "LINGUISTIC_TYPE", common, LINGUISTIC_TYPE_ID="default-lt")
    ElementTree.SubElement(document, "LINGUISTIC_TYPE", common, LINGUISTIC_TYPE_ID="words", CONSTRAINTS="Included_In")
    ElementTree.SubElement(document, "CONSTRAINT", DESCRIPTION=_INCLUDED, STEREOTYPE="Included_In")
