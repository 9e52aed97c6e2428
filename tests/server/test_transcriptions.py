"""POST /v1/audio/transcriptions: every field is honored, or refused by its name."""

from __future__ import annotations

import json
import struct

import pytest

from speechxfer.server.limits import Limits
from tests.server.conftest import NoOptions, Scripted, post, wav


@pytest.fixture
def client(serve, scripted):
    return serve(scripted)


def test_the_text_of_a_recording(client) -> None:
    response = post(client, wav(1.5))
    assert response.status_code == 200
    assert response.json() == {"text": "1.5 seconds", "usage": {"type": "duration", "seconds": 1.5}}


@pytest.mark.parametrize(
    ("format_", "type_", "start"),
    [
        ("text", "text/plain", "1.0 seconds\n"),
        ("srt", "application/x-subrip", "1\n00:00:0"),
        ("vtt", "text/vtt", "WEBVTT\n"),
    ],
)
def test_formats_of_text(client, format_: str, type_: str, start: str) -> None:
    response = post(client, response_format=format_)
    assert response.headers["content-type"] == f"{type_}; charset=utf-8"
    assert response.text.startswith(start)


def test_verbose_json_has_segments_and_words_as_asked(client) -> None:
    both = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    found = post(client, wav(2), **both).json()
    assert found["words"] == [{"word": "2.0", "start": 0.1, "end": 1.0}, {"word": "seconds", "start": 1.0, "end": 2.0}]
    assert found["segments"][0]["text"] == "2.0 seconds"
    assert found["segments"][0]["avg_logprob"] == pytest.approx(-0.105, abs=1e-3)
    assert (found["language"], found["duration"], found["task"]) == ("it", 2.0, "transcribe")
    assert "words" not in post(client, response_format="verbose_json").json()
    assert "segments" not in post(
        client, response_format="verbose_json", **{"timestamp_granularities[]": "word"}
    ).json()  # fmt: skip


def test_log_probabilities_of_words(client) -> None:
    found = post(client, **{"include[]": "logprobs"}).json()["logprobs"]
    assert [one["token"] for one in found] == ["1.0", "seconds"]
    assert found[1]["logprob"] == pytest.approx(-0.223, abs=1e-3)
    assert bytes(found[1]["bytes"]) == b"seconds"


def test_options_of_decoding_reach_the_model(client, scripted: Scripted) -> None:
    fields = {"language": "de", "prompt": "Aachen", "temperature": "0.5", "keywords[]": ["Bad Doberan", "Köln"]}
    assert post(client, **fields).status_code == 200
    options = scripted.batches[-1][1]
    assert (options.language, options.prompt, options.temperature) == ("de", "Aachen", (0.5,))
    assert options.weighted_hotwords == (("Bad Doberan", 8.0), ("Köln", 8.0))


def test_temperature_0_is_the_models_own(client, scripted: Scripted) -> None:
    assert post(client, temperature="0").status_code == 200
    assert scripted.batches[-1][1].temperature is None


@pytest.mark.parametrize(
    ("fields", "param", "wanted"),
    [
        ({"response_format": "xml"}, "response_format", "wanted one of json"),
        ({"response_format": "diarized_json"}, "response_format", "speakers"),
        ({"known_speaker_names[]": "Ann"}, "known_speaker_names", "speakers"),
        ({"known_speaker_references[]": "data:"}, "known_speaker_references", "speakers"),
        ({"temperature": "1.5"}, "temperature", "from 0 to 1"),
        ({"temperature": "nan"}, "temperature", "from 0 to 1"),
        ({"temperature": "hot"}, "temperature", "from 0 to 1"),
        ({"stream": "maybe"}, "stream", "true or false"),
        ({"stream": "true", "response_format": "srt"}, "stream", "wanted response_format json"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "verbose_json"),
        ({"timestamp_granularities[]": "letter", "response_format": "verbose_json"}, "timestamp_granularities", "word"),
        ({"include[]": "tokens"}, "include", "logprobs"),
        ({"include[]": "logprobs", "response_format": "text"}, "include", "json"),
        ({"languages[]": ["it", "de"]}, "languages", "one language"),
        ({"keywords[]": " "}, "keywords", "phrase"),
        ({"chunking_strategy": "clever"}, "chunking_strategy", "server_vad"),
        ({"chunking_strategy": '{"type": "semantic_vad"}'}, "chunking_strategy.type", "server_vad"),
        ({"chunking_strategy": '{"type": "server_vad", "x": 1}'}, "chunking_strategy.x", "no setting"),
        ({"chunking_strategy": '{"type": "server_vad", "threshold": 0.9}'}, "chunking_strategy.threshold", "fixed"),
        (
            {"chunking_strategy": '{"type": "server_vad", "silence_duration_ms": -1}'},
            "chunking_strategy.silence_duration_ms",
            "number",
        ),
        ({"chunking_strategy": "[" * 5000}, "chunking_strategy", "server_vad"),
        ({"best_of": "5"}, "best_of", "no field"),
        ({"model": "whisper-1"}, "model", "m0"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_by_its_name(client, fields, param: str, wanted: str) -> None:
    response = post(client, **fields)
    error = response.json()["error"]
    assert response.status_code == (404 if param == "model" else 400)
    assert error["param"] == param
    assert wanted in error["message"]
    assert error["type"] == "invalid_request_error"
    assert error["code"]


@pytest.mark.parametrize("field", ["prompt", "keywords[]", "temperature", "language"])
def test_what_the_model_lacks_is_refused_by_its_name(serve, field: str) -> None:
    response = post(
        serve(Scripted(NoOptions())), **{field: {"temperature": "0.7", "language": "it"}.get(field, "Aachen")}
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field.removesuffix("[]")
    assert response.json()["error"]["code"] == "unsupported_parameter"


def test_settings_of_voice_activity_change_the_segments(client, scripted: Scripted) -> None:
    scripted.batches.clear()
    post(client, wav(8))
    whole = [length for lengths, _ in scripted.batches for length in lengths]
    scripted.batches.clear()
    strategy = {"type": "server_vad", "silence_duration_ms": 200, "prefix_padding_ms": 50}
    assert post(client, wav(12), chunking_strategy=json.dumps(strategy)).status_code == 200
    parts = [length for lengths, _ in scripted.batches for length in lengths]
    assert whole == [8.0]
    assert len(parts) > 3


def test_events_of_a_stream(client) -> None:
    response = post(client, wav(25), stream="true")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    assert [event["type"] for event in events[-2:]] == ["transcript.text.delta", "transcript.text.done"]
    assert len(events) > 2
    assert (
        "".join(event["delta"] for event in events[:-1]) == events[-1]["text"] == post(client, wav(25)).json()["text"]
    )


def test_a_stream_of_a_bad_recording_is_refused_before_it_begins(client) -> None:
    response = post(client, b"RIFF nothing", stream="true")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "file"


def huge_header() -> bytes:
    good = wav(1)
    return good[:22] + struct.pack("<HI", 48, 4_000_000_000) + good[28:]


@pytest.mark.parametrize(
    "audio", [b"", b"\0" * 100, b"#EXTM3U\nfile:///etc/passwd\n", wav(1)[:60], huge_header(), b"{}" * 5000]
)
def test_bad_audio_is_the_clients_mistake(client, audio: bytes) -> None:
    response = post(client, audio)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "file"
    assert "a.wav" in response.json()["error"]["message"]
    assert post(client).status_code == 200


def test_silence_has_no_text(client) -> None:
    response = post(client, wav(2, peak=0.0), response_format="verbose_json")
    assert response.json()["text"] == ""
    assert response.json()["segments"] == []
    assert "logprobs" in post(client, wav(2, peak=0.0), **{"include[]": "logprobs"}).json()


@pytest.mark.parametrize("rate", [4_000, 44_100, 192_000])
def test_any_rate(client, rate: int) -> None:
    assert post(client, wav(1, rate=rate)).json()["text"] == "1.0 seconds"


def test_a_recording_longer_than_allowed(serve, scripted: Scripted) -> None:
    response = post(serve(scripted, limits=Limits(duration_s=5)), wav(30))
    assert response.status_code == 400
    assert "longer than 5 s" in response.json()["error"]["message"]


@pytest.mark.parametrize("extra", [{}, {"Content-Type": "application/json"}, {"Content-Type": "multipart/form-data"}])
def test_a_request_without_a_form(client, extra) -> None:
    response = client.post("/v1/audio/transcriptions", content=b"{}", headers=extra)
    assert response.status_code in (400, 415)
    assert response.json()["error"]["message"]


def test_a_form_without_a_file_and_with_two(client) -> None:
    assert (
        client.post("/v1/audio/transcriptions", data={"model": "m0"}, files={"x": b"1"}).json()["error"]["param"]
        == "file"
    )
    two = client.post("/v1/audio/transcriptions", files=[("file", wav(1)), ("file", wav(1))])
    assert two.status_code == 400


def test_one_that_fails_in_a_batch_does_not_harm_others(serve, scripted: Scripted) -> None:
    client = serve(scripted)
    response = post(client, wav(1, peak=0.77))
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "out of memory" not in response.text
    assert post(client).status_code == 200


def test_models(serve) -> None:
    client = serve(Scripted(), Scripted())
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == ["m0", "m1"]
    assert client.get("/v1/models/m1").json()["object"] == "model"
    assert client.get("/v1/models/m2").json()["error"]["code"] == "model_not_found"
    assert post(client).json()["error"]["param"] == "model"
    assert post(client, model="m1").status_code == 200


def test_health_and_metrics(client) -> None:
    post(client)
    assert client.get("/healthz").json() == {"status": "ok"}
    text = client.get("/metrics").text
    assert 'speechxfer_requests_total{status="200"} 1.0' in text
    assert 'speechxfer_audio_seconds_total{model="m0"} 1.0' in text
    assert "speechxfer_places_taken 0.0" in text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v2", 404), ("GET", "/v1/audio/transcriptions", 405)])
def test_errors_of_other_paths_have_the_same_shape(client, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
