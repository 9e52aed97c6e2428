"""No client takes what others need: places, sizes, time, tokens; and clients that leave."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from speechxfer.server.limits import Limits
from tests.server.conftest import Scripted, post, wav


def wait_for(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def places(client) -> float:
    line = next(one for one in client.get("/metrics").text.splitlines() if one.startswith("speechxfer_places_taken "))
    return float(line.split()[1])


def test_a_full_server_says_when_to_try_again(serve, scripted: Scripted) -> None:
    client = serve(scripted, limits=Limits(places=2))
    scripted.gate.clear()
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(post, client) for _ in range(2)]
        wait_for(lambda: places(client) == 2)
        refused = post(client)
        scripted.gate.set()
        assert [one.result().status_code for one in waiting] == [200, 200]
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]["code"] == "queue_full"
    assert post(client).status_code == 200


def test_an_upload_that_is_too_large(serve, scripted: Scripted) -> None:
    client = serve(scripted, limits=Limits(upload_mb=0.1))
    response = post(client, wav(30))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "upload_too_large"
    assert places(client) == 0


def test_a_length_that_is_not_told_is_counted(serve, scripted: Scripted) -> None:
    client = serve(scripted, limits=Limits(upload_mb=0.01))
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    def endless():
        yield head
        for _ in range(1000):
            yield b"\0" * 1000

    response = client.post(
        "/v1/audio/transcriptions", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert response.status_code == 413


def test_a_request_that_takes_too_long(serve, scripted: Scripted) -> None:
    client = serve(scripted, limits=Limits(timeout_s=0.2))
    scripted.gate.clear()
    response = post(client)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "timeout"
    assert response.headers["retry-after"]
    scripted.gate.set()


def test_segments_of_different_requests_share_a_batch(serve, scripted: Scripted) -> None:
    client = serve(scripted)
    scripted.batches.clear()
    scripted.gate.clear()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(post, client, wav(1))
        wait_for(lambda: scripted.batches)
        others = [threads.submit(post, client, wav(1)) for _ in range(4)]
        other_options = threads.submit(post, client, wav(1), prompt="Aachen")
        wait_for(lambda: places(client) == 6)
        time.sleep(0.2)
        scripted.gate.set()
        assert all(one.result().json()["text"] == "1.0 seconds" for one in [first, *others, other_options])
    assert sorted(len(lengths) for lengths, _ in scripted.batches) == [1, 1, 4]


def test_a_prompt_goes_before_the_rest_of_a_long_recording(serve, scripted: Scripted) -> None:
    client = serve(scripted)
    order: list[str] = []

    def ask(name: str, seconds: float) -> None:
        assert post(client, wav(seconds)).status_code == 200
        order.append(name)

    scripted.batches.clear()
    scripted.gate.clear()
    long = threading.Thread(target=ask, args=("long", 120))
    long.start()
    wait_for(lambda: scripted.batches)
    short = threading.Thread(target=ask, args=("short", 1))
    short.start()
    wait_for(lambda: places(client) == 2)
    time.sleep(0.2)
    scripted.gate.set()
    long.join()
    short.join()
    assert order == ["short", "long"]
    assert scripted.batches[1][0] == [1.0]


@pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic secret", "Bearer ", "Bearer sécret"])
def test_a_missing_or_wrong_token(serve, scripted: Scripted, given: str | None) -> None:
    client = serve(scripted, token="secret")
    headers = {} if given is None else {"Authorization": given.encode()}
    for path in ("/v1/models", "/metrics", "/v1/audio/transcriptions"):
        response = client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] in ("missing_api_key", "invalid_api_key")
    assert client.get("/healthz", headers=headers).status_code == 200


def test_the_right_token(serve, scripted: Scripted) -> None:
    client = serve(scripted, token="secret")
    assert client.get("/v1/models", headers={"Authorization": "bearer secret"}).status_code == 200


def test_pages_of_other_servers_may_not(serve, scripted: Scripted) -> None:
    client = serve(scripted)
    assert client.get("/v1/models", headers={"Origin": "https://example.org"}).status_code == 403
    assert client.get("/v1/models", headers={"Origin": "null"}).status_code == 403
    assert client.get("/v1/models", headers={"Origin": "http://testserver"}).status_code == 200
