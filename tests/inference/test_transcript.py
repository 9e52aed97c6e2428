from __future__ import annotations

import json

from speechxfer.decoding.hypothesis import Word
from speechxfer.inference import Segment, Transcript


def test_to_dict_is_rounded_json() -> None:
    word = Word("hé", 1.00049, 1.23456, 0.123456)
    transcript = Transcript("hé", (Segment(1.0, 2.00001, "hé", (word,)),), 2.34567, "a.wav")
    expected = {
        "source": "a.wav",
        "duration": 2.346,
        "text": "hé",
        "segments": [
            {
                "start": 1.0,
                "end": 2.0,
                "text": "hé",
                "confidence": None,
                "words": [{"start": 1.0, "end": 1.235, "text": "hé", "confidence": 0.1235}],
            }
        ],
    }
    assert transcript.to_dict() == expected
    assert json.loads(json.dumps(transcript.to_dict())) == expected
