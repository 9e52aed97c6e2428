"""Realtime sessions over a WebSocket."""

from __future__ import annotations

import base64
import json
from typing import get_args

import numpy as np
import openai
import pytest
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.audio_transcription import AudioTranscription
from openai.types.realtime.realtime_transcription_session_audio_input import RealtimeTranscriptionSessionAudioInput
from openai.types.realtime.realtime_transcription_session_audio_input_turn_detection import ServerVad
from openai.types.realtime.realtime_transcription_session_create_request import (
    RealtimeTranscriptionSessionCreateRequest,
)
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from speechxfer.inference.streaming import StreamResult
from speechxfer.server.limits import Limits
from speechxfer.server.realtime.turns import Turns
from tests.server.conftest import NoOptions, Scripted, sound

ADDRESS = "/v1/realtime?intent=transcription"
RATE = 24_000
PREFIX = "conversation.item.input_audio_transcription"
TYPES = {get_args(one.model_fields["type"].annotation)[0]: one for one in get_args(get_args(RealtimeServerEvent)[0])}


def append(seconds: float, peak: float = 0.3) -> dict[str, object]:
    samples = (32767 * sound(seconds, peak=peak, rate=RATE)).astype("<i2")
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(samples.tobytes()).decode()}


def update(**input_: object) -> dict[str, object]:
    return {
        "type": "session.update",
        "event_id": "mine",
        "session": {"type": "transcription", "audio": {"input": input_}},
    }


def receive(socket, last: str) -> list[dict[str, object]]:
    """Events up to one of a type; each is valid for the official client."""
    found: list[dict[str, object]] = []
    while not found or found[-1]["type"] != last:
        found.append(socket.receive_json())
        TYPES[found[-1]["type"]].model_validate(found[-1])
        assert found[-1]["event_id"]
    return found


@pytest.fixture
def socket(serve, scripted: Scripted):
    # An event that does not come is an error after a while.
    with serve(scripted, limits=Limits(timeout_s=60)).websocket_connect(ADDRESS) as socket:
        receive(socket, "session.created")
        yield socket


def test_turns_by_voice(socket) -> None:
    for _ in range(10):
        socket.send_json(append(0.2))
    socket.send_json(append(1.0, peak=0))
    socket.send_json(append(1.0))
    socket.send_json(append(1.0, peak=0))
    first, second = receive(socket, f"{PREFIX}.completed"), receive(socket, f"{PREFIX}.completed")
    kinds = [event["type"] for event in first]
    assert kinds[0] == "input_audio_buffer.speech_started"
    assert kinds[-3:] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed", f"{PREFIX}.completed"]
    assert len({event["item_id"] for event in first}) == 1
    assert first[-2]["previous_item_id"] is None
    assert second[-2]["previous_item_id"] == first[-1]["item_id"]
    assert 2800 < second[0]["audio_start_ms"] < 3100
    assert [word["word"] for word in second[-1]["words"]] == second[-1]["transcript"].split()
    assert 2.8 < second[-1]["words"][0]["start"] < second[-1]["words"][1]["end"] < 4.5


def test_turns_by_the_client(socket) -> None:
    socket.send_json(update(turn_detection=None))
    assert receive(socket, "session.updated")[-1]["session"]["audio"]["input"]["turn_detection"] is None
    for seconds in (1.0, 2.0):
        socket.send_json(append(seconds))
        socket.send_json({"type": "input_audio_buffer.commit"})
        events = receive(socket, f"{PREFIX}.completed")
        assert not [event for event in events if "speech" in event["type"]]
        assert "seconds" in events[-1]["transcript"]
        assert events[-1]["usage"] == {"type": "duration", "seconds": seconds}
        assert "".join(event["delta"] for event in events if "delta" in event) == events[-1]["transcript"]


def test_a_commit_without_speech_and_one_without_sound(socket) -> None:
    socket.send_json(append(1.0, peak=0))
    socket.send_json({"type": "input_audio_buffer.commit"})
    assert receive(socket, f"{PREFIX}.completed")[-1]["transcript"] == ""
    socket.send_json({"type": "input_audio_buffer.commit", "event_id": "mine"})
    error = receive(socket, "error")[-1]["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["event_id"] == "mine"


def test_a_cleared_buffer_is_not_recognized(socket) -> None:
    socket.send_json(update(turn_detection=None))
    socket.send_json(append(3.0))
    socket.send_json({"type": "input_audio_buffer.clear"})
    receive(socket, "input_audio_buffer.cleared")
    socket.send_json(append(1.0))
    socket.send_json({"type": "input_audio_buffer.commit"})
    assert receive(socket, f"{PREFIX}.completed")[-1]["usage"]["seconds"] == 1


def test_options_reach_the_model(socket, scripted: Scripted) -> None:
    transcription = {"model": "m0", "language": "de", "prompt": "Bahn", "keywords": ["Aachen"]}
    socket.send_json(update(transcription=transcription))
    receive(socket, "session.updated")
    socket.send_json(append(1.0))
    socket.send_json({"type": "input_audio_buffer.commit"})
    receive(socket, f"{PREFIX}.completed")
    options = scripted.batches[-1][1]
    assert (options.language, options.prompt, options.weighted_hotwords) == ("de", "Bahn", (("Aachen", 8.0),))


def test_log_probabilities(socket) -> None:
    session = {"type": "transcription", "include": ["item.input_audio_transcription.logprobs"]}
    socket.send_json({"type": "session.update", "session": session})
    socket.send_json(append(1.0))
    socket.send_json({"type": "input_audio_buffer.commit"})
    assert len(receive(socket, f"{PREFIX}.completed")[-1]["logprobs"]) == 2


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("no json", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "one event"),
        ("{}", "session.update"),
        ('{"type": ["x"]}', "session.update"),
        ('{"type": "response.create"}', "session.update"),
        ('{"type": "input_audio_buffer.append"}', "base64"),
        ('{"type": "input_audio_buffer.append", "audio": "é"}', "base64"),
        ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "two each"),
        ('{"type": "session.update"}', "object"),
        ('{"type": "session.update", "session": {"type": "realtime"}}', "transcription sessions only"),
        (json.dumps(update(format={"type": "audio/pcm", "rate": 16000})), "24000"),
        (json.dumps(update(format={"type": "audio/pcmu"})), "audio/pcm at"),
        (json.dumps(update(turn_detection={"type": "semantic_vad"})), "server_vad"),
        (json.dumps(update(transcription={"model": "whisper-1"})), "m0"),
        (json.dumps(update(transcription={"language": 7})), "string"),
    ],
)
def test_a_mistake_is_answered_and_the_session_goes_on(socket, message: str, wanted: str) -> None:
    socket.send_text(message)
    assert wanted in receive(socket, "error")[-1]["error"]["message"]
    socket.send_json(append(1.0))
    socket.send_json({"type": "input_audio_buffer.commit"})
    assert receive(socket, f"{PREFIX}.completed")[-1]["transcript"]


def test_bytes_are_no_event(socket) -> None:
    socket.send_bytes(b"\0" * 100)
    assert receive(socket, "error")


#: Of each object of a session, a value of each field that the client has, and whether it is refused.
INPUT = {
    "format": ({"type": "audio/pcm", "rate": 24000}, False),
    "noise_reduction": ({"type": "near_field"}, True),
    "transcription": ({"model": "m0"}, False),
    "turn_detection": ({"type": "server_vad"}, False),
}
TRANSCRIPTION = {
    "delay": ("low", True), "keywords": (["Aachen"], False), "language": ("it", False), "languages": (["it"], False),
    "model": ("m0", False), "prompt": ("Bahn", False),
}  # fmt: skip
TURNS = {
    "type": ("server_vad", False), "create_response": (True, True), "idle_timeout_ms": (5000, True),
    "interrupt_response": (True, True), "prefix_padding_ms": (100, False), "silence_duration_ms": (300, False),
    "threshold": (0.9, True),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "values", "where"),
    [
        (RealtimeTranscriptionSessionAudioInput, INPUT, ()),
        (AudioTranscription, TRANSCRIPTION, ("transcription",)),
        (ServerVad, TURNS, ("turn_detection",)),
    ],
)
def test_each_field_of_the_client_is_honored_or_refused_by_its_name(socket, kind, values, where) -> None:
    assert set(kind.model_fields) == set(values)
    for name, (value, is_refused) in values.items():
        fields = {"type": "server_vad", name: value} if where == ("turn_detection",) else {name: value}
        for one in where:
            fields = {one: fields}
        socket.send_json(update(**fields))
        event = receive(socket, "error" if is_refused else "session.updated")[-1]
        if is_refused:
            assert event["error"]["param"].split(".")[-1] == name


def test_all_fields_of_a_session_are_known() -> None:
    assert set(RealtimeTranscriptionSessionCreateRequest.model_fields) == {"type", "audio", "include"}


def test_a_model_that_lacks_an_option(serve) -> None:
    with serve(Scripted(NoOptions())).websocket_connect(ADDRESS) as socket:
        receive(socket, "session.created")
        socket.send_json(update(transcription={"prompt": "Bahn"}))
        assert receive(socket, "error")[-1]["error"]["param"] == "prompt"


def test_a_model_that_fails(serve, scripted: Scripted) -> None:
    with serve(scripted).websocket_connect(ADDRESS) as socket:
        socket.send_json(append(1.0, peak=0.77))
        socket.send_json({"type": "input_audio_buffer.commit"})
        failed = receive(socket, f"{PREFIX}.failed")[-1]
        assert failed["error"]["type"] == "server_error"


@pytest.mark.parametrize("query", ["?intent=conversation", "?intent=transcription&model=none"])
def test_an_address_that_is_not_served(serve, scripted: Scripted, query: str) -> None:
    with serve(scripted).websocket_connect(f"/v1/realtime{query}") as socket:
        assert socket.receive_json()["error"]["param"] in ("intent", "model")
        assert socket.receive()["code"] == 1008


def test_limits(serve, scripted: Scripted) -> None:
    client = serve(scripted, limits=Limits(places=1, duration_s=2))
    with client.websocket_connect(ADDRESS) as socket:
        receive(socket, "session.created")
        with client.websocket_connect(ADDRESS) as other:
            assert other.receive_json()["error"]["code"] == "queue_full"
            assert other.receive()["code"] == 1013
        socket.send_json(append(3.0))
        assert receive(socket, "error")[-1]["error"]["code"] == "session_expired"
    with client.websocket_connect(ADDRESS) as socket:
        receive(socket, "session.created")


def test_a_client_that_is_silent_for_too_long(serve, scripted: Scripted) -> None:
    with serve(scripted, limits=Limits(timeout_s=0.2)).websocket_connect(ADDRESS) as socket:
        assert receive(socket, "error")[-1]["error"]["code"] == "session_expired"


def test_tokens(serve, scripted: Scripted) -> None:
    client = serve(scripted, token="secret")
    for protocols in ([], ["realtime", "openai-insecure-api-key.wrong"]):
        with (
            pytest.raises((WebSocketDisconnect, WebSocketDenialResponse)) as caught,
            client.websocket_connect(ADDRESS, subprotocols=protocols),
        ):
            pass
        assert getattr(caught.value, "status_code", 401) == 401
    with client.websocket_connect(ADDRESS, subprotocols=["realtime", "openai-insecure-api-key.secret"]) as socket:
        assert socket.accepted_subprotocol == "realtime"
        receive(socket, "session.created")


def test_the_official_client(live, scripted: Scripted) -> None:
    client = openai.OpenAI(base_url=f"{live(scripted, token='secret')}/v1", api_key="secret")
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        assert connection.recv().type == "session.created"
        connection.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": None}}})
        assert connection.recv().type == "session.updated"
        connection.input_audio_buffer.append(audio=append(1.0)["audio"])
        connection.input_audio_buffer.commit()
        kinds = []
        for event in connection:
            kinds.append(event.type)
            if event.type == f"{PREFIX}.completed":
                break
        assert event.transcript == "1.0 seconds"
        assert "input_audio_buffer.committed" in kinds


def test_results_that_change(scripted: Scripted) -> None:
    turns = Turns(by_voice=True, logprobs=False)
    texts = ["the", "the cat", "the cat sad", "the cat sat on", "the cat sat on a mat"]
    results = [StreamResult(text, 0.0, 2.0, final=text == texts[-1]) for text in texts]
    deltas = [event["delta"] for event in turns.events(results) if "delta" in event]
    assert deltas == ["the", " cat", " sat on a mat"]


def test_a_certain_word_that_changes_after_all() -> None:
    turns = Turns(by_voice=True, logprobs=False)
    results = [
        StreamResult(text, 0.0, 2.0, final=text == "so late") for text in ("too late for", "too late for", "so late")
    ]
    events = list(turns.events(results))
    assert [event["delta"] for event in events if "delta" in event] == ["too late"]
    assert events[-1]["transcript"] == "so late"
    assert np.isclose(events[-1]["usage"]["seconds"], 2)
