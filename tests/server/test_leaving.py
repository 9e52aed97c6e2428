"""Clients that leave, stall or are cut off, over real connections."""

from __future__ import annotations

import socket
import time
import urllib.request

import pytest

from speechxfer.server.limits import Limits
from tests.server.conftest import Scripted, wav
from tests.server.test_limits import wait_for


def taken(address: str) -> float:
    with urllib.request.urlopen(f"{address}/metrics") as response:
        text = response.read().decode()
    return float(next(line for line in text.splitlines() if line.startswith("speechxfer_places_taken ")).split()[1])


def connect(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def request(audio: bytes, *, fields: str = "", length: int | None = None) -> bytes:
    part = 'Content-Disposition: form-data; name="{}"'
    body = "".join(f"--x\r\n{part.format(name)}\r\n\r\ntrue\r\n" for name in fields.split()).encode()
    file = part.format("file") + '; filename="a.wav"'
    body += f"--x\r\n{file}\r\n\r\n".encode() + audio + b"\r\n--x--\r\n"
    head = "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: here\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    return f"{head}Content-Length: {length or len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("fields", ["", "stream"])
def test_a_client_that_leaves_frees_its_place(live, scripted: Scripted, fields: str) -> None:
    address = live(scripted)
    scripted.batches.clear()
    scripted.gate.clear()
    with connect(address) as staying:
        staying.sendall(request(wav(1)))
        wait_for(lambda: scripted.batches)
        with connect(address) as leaving:
            leaving.sendall(request(wav(2), fields=fields))
            wait_for(lambda: taken(address) == 2)
        wait_for(lambda: taken(address) == 1)
        scripted.gate.set()
        answer = b""
        while b"1.0 seconds" not in answer:
            more = staying.recv(10_000)
            assert more
            answer += more
    wait_for(lambda: taken(address) == 0)
    assert [lengths for lengths, _ in scripted.batches] == [[1.0]]


def test_a_client_that_leaves_in_the_middle_of_a_stream(live, scripted: Scripted) -> None:
    address = live(scripted)
    with connect(address) as leaving:
        leaving.sendall(request(wav(100), fields="stream"))
        assert b"200 OK" in leaving.recv(100)
        scripted.gate.clear()
    scripted.gate.set()
    wait_for(lambda: taken(address) == 0)


def test_an_upload_that_stalls(live, scripted: Scripted) -> None:
    address = live(scripted, limits=Limits(stall_s=0.2))
    with connect(address) as stalling:
        stalling.sendall(request(wav(1), length=10**6))
        begun = time.monotonic()
        assert b"408" in stalling.recv(1000)
        assert time.monotonic() - begun < 4
    assert taken(address) == 0


def test_an_upload_that_is_cut_off(live, scripted: Scripted) -> None:
    address = live(scripted)
    with connect(address) as cut:
        cut.sendall(request(wav(1), length=10**6))
        wait_for(lambda: taken(address) == 1)
    wait_for(lambda: taken(address) == 0)


def test_a_server_that_stops_answers_what_it_does_not_finish(live, scripted: Scripted) -> None:
    address = live(scripted)
    scripted.batches.clear()
    scripted.gate.clear()
    with connect(address) as first, connect(address) as second:
        first.sendall(request(wav(1)))
        wait_for(lambda: scripted.batches)
        second.sendall(request(wav(1)))
        wait_for(lambda: taken(address) == 2)
        live.services[-1].stop()
        assert b"503" in second.recv(1000)
        scripted.gate.set()
        assert b"200" in first.recv(1000)  # was computed already
        with connect(address) as third:
            third.sendall(request(wav(1)))
            assert b"503" in third.recv(1000)


@pytest.mark.parametrize("fields", ["", "stream"])
def test_a_server_that_stops_while_a_recording_is_uploaded(live, scripted: Scripted, fields: str) -> None:
    address = live(scripted)
    scripted.batches.clear()
    whole = request(wav(1), fields=fields)
    with connect(address) as uploading:
        uploading.sendall(whole[:-100])
        wait_for(lambda: taken(address) == 1)
        live.services[-1].stop()
        uploading.sendall(whole[-100:])
        assert b"503" in uploading.recv(1000)
    wait_for(lambda: taken(address) == 0)
    assert not scripted.batches


def test_a_recording_that_is_read_when_its_client_leaves_is_not_closed(live, scripted: Scripted, capfd) -> None:
    address = live(scripted)
    for _ in range(10):
        with connect(address) as leaving:
            leaving.sendall(request(wav(100)))
            wait_for(lambda: taken(address) == 1)
        wait_for(lambda: taken(address) == 0)
    assert "closed file" not in capfd.readouterr().err
