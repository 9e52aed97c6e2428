"""The official client against the server: each of its fields and events, as its types list them."""

from __future__ import annotations

import io
from typing import Any, Literal, get_args, get_origin, get_type_hints

import openai
import pytest
from openai.types import AudioResponseFormat, Model
from openai.types.audio import Transcription, TranscriptionVerbose, transcription_create_params
from openai.types.audio.transcription_stream_event import TranscriptionStreamEvent

from speechxfer.server.limits import Limits
from tests.server.conftest import Scripted, wav

Params = transcription_create_params.TranscriptionCreateParamsNonStreaming
Vad = transcription_create_params.ChunkingStrategyVadConfig
FIELDS = [name for name in get_type_hints(Params, include_extras=False) if name != "file"]
#: A value of each field, and what else it needs.
VALUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "model": ("m0", {}),
    "chunking_strategy": ("auto", {}),
    "include": (["logprobs"], {}),
    "keywords": (["Aachen", "Bad Doberan"], {}),
    "known_speaker_names": (["Ann"], {}),
    "known_speaker_references": (["data:audio/wav;base64,AAAA"], {}),
    "language": ("it", {}),
    "languages": (["it"], {}),
    "prompt": ("Aachen", {}),
    "response_format": ("json", {}),
    "temperature": (0.2, {}),
    "timestamp_granularities": (["word", "segment"], {"response_format": "verbose_json"}),
    "stream": (False, {}),
}
REFUSED = {"known_speaker_names", "known_speaker_references"}
VAD_VALUES = {"type": "server_vad", "prefix_padding_ms": 100, "silence_duration_ms": 300, "threshold": 0.5}


@pytest.fixture
def client(serve, scripted: Scripted):
    http = serve(scripted, token="secret")
    return openai.OpenAI(base_url="http://testserver/v1", api_key="secret", http_client=http, max_retries=0)


def create(client, **fields):
    return client.audio.transcriptions.create(**{"model": "m0", "file": ("a.wav", wav(12)), **fields})


def test_all_fields_of_the_client_are_tested() -> None:
    assert set(FIELDS) == set(VALUES)
    assert set(get_type_hints(Vad)) == set(VAD_VALUES)


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_honored_or_refused_by_its_name(client, name: str) -> None:
    value, others = VALUES[name]
    if name in REFUSED:
        with pytest.raises(openai.BadRequestError) as caught:
            create(client, **{name: value}, **others)
        assert caught.value.param == name
        assert caught.value.code == "unsupported_parameter"
    else:
        assert create(client, **{name: value}, **others).text


@pytest.mark.parametrize("name", [name for name in VAD_VALUES if name != "type"])
def test_settings_of_server_vad(client, name: str) -> None:
    assert create(client, chunking_strategy={"type": "server_vad", name: VAD_VALUES[name]}).text


@pytest.mark.parametrize("format_", get_args(AudioResponseFormat))
def test_each_format(client, format_: str) -> None:
    if format_ == "diarized_json":
        with pytest.raises(openai.BadRequestError, match="speakers"):
            create(client, response_format=format_)
        return
    found = create(client, response_format=format_)
    kind = {"json": Transcription, "verbose_json": TranscriptionVerbose}.get(format_, str)
    assert isinstance(found, kind)
    if format_ in ("json", "verbose_json"):
        kind.model_validate(found.model_dump(), strict=True)
        assert found.usage.seconds == 12


def test_each_event_is_one_of_its_types(client) -> None:
    found = get_args(get_args(TranscriptionStreamEvent)[0])
    kinds = {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in found}
    events = list(create(client, file=("a.wav", wav(25)), stream=True, include=["logprobs"]))
    for event in events:
        kinds[event.type].model_validate(event.model_dump(), strict=True)
    # What is left is for speakers.
    assert set(kinds) - {event.type for event in events} == {"transcript.text.segment"}
    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    assert len(events[-1].logprobs) == 2 * len(events[:-1])


def test_models(client) -> None:
    (model,) = client.models.list()
    assert Model.model_validate(model.model_dump(), strict=True).id == "m0"
    assert client.models.retrieve("m0").id == "m0"
    with pytest.raises(openai.NotFoundError) as caught:
        create(client, model="whisper-1")
    assert caught.value.code == "model_not_found"


def test_errors_are_the_clients_own(client, serve) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, file=io.BytesIO(b"no sound"))
    assert caught.value.param == "file"
    assert caught.value.type == "invalid_request_error"


def test_a_full_server(serve, scripted: Scripted) -> None:
    http = serve(scripted, limits=Limits(places=1))
    client = openai.OpenAI(base_url="http://testserver/v1", api_key="-", http_client=http, max_retries=0)
    with http.app.state.service.place(), pytest.raises(openai.RateLimitError) as caught:
        create(client)
    assert caught.value.code == "queue_full"
    assert create(client).text


def test_literals_of_the_client_are_known() -> None:
    """A value that the client may send, and that this server does not know, would be found here first."""
    granularities = get_type_hints(Params)["timestamp_granularities"]
    assert set(get_args(get_args(granularities)[0])) == {"word", "segment"}
    strategy = get_args(get_type_hints(Params)["chunking_strategy"])
    assert [get_args(one) for one in strategy if get_origin(one) is Literal] == [("auto",)]
