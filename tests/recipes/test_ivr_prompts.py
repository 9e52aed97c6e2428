"""The telephone prompts recipe: cleaning rules, the split, the archive readers, the way without apt."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
import urllib.error
import wave
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.errors import ConfigError, DataError

RECIPE = Path(__file__).parents[2] / "recipes" / "ivr_prompts" / "prepare.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ivr_prompts_prepare", RECIPE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pytest.importorskip("num2words")
prepare = _load()


def _clean(line: str, language: str) -> str:
    """The normalized words of one line of a transcript file, or the reason to leave it out in <>."""
    (parsed,) = prepare.read_transcripts(line, language)
    said = prepare.spoken(parsed.name, parsed.text)
    reason = prepare.why_unusable(parsed.name, said, language)
    return f"<{reason}>" if reason else str(prepare.normalize(said, language))


@pytest.mark.parametrize(
    ("language", "line", "words"),
    [
        ("it", "at-tone-time-exactly: il tempo sar? esattamente..", "il tempo sarà esattamente"),
        ("it", "x: La chiamata non pu? essere cos?", "la chiamata non può essere così"),
        ("it", "x: riprova pi? tardi.", "riprova più tardi"),
        ("it", "conf-full: La conferenza ? piena.", "la conferenza è piena"),
        ("it", "is-in-use: E' in uso.", "è in uso"),
        ("it", "vm-login: Posta vocale. Casella di posta?", "posta vocale casella di posta"),
        ("it", "x: dall\u2019interno", "dall'interno"),
        ("it", "x: perche\u0301 no", "perché no"),  # NFC
        ("es", "digits/0: diez", "diez"),
        ("es", "vm-opts: Marque 2 paracambiar de carpeta", "marque dos para cambiar de carpeta"),
        ("fr", "x: enregistrer ce tte conférence", "enregistrer cette conférence"),
        ("fr", "x: “s'il-vous-plaît” 'bonjour", "s'il vous plaît bonjour"),
        ("ru", "vm-first: первoe", "первое"),  # noqa: RUF001
        ("ru", "x: Нажмите решётку, 2 - чтобы", "нажмите решетку два чтобы"),
        ("ru", "vm-a: vm-a: Нажмите", "нажмите"),
        ("it", "vm-a: eliminato vm-then-pound: poi premere", "eliminato"),
        ("fr", "vm-a: sur dièse.vm-review-nonurgent: Pour", "sur dièse"),
        ("en", "letters/at: at [@]", "at"),
        ("en", "letters/space: space [ ]", "space"),
        ("it", "letters/exclaimation-point: [!] punto esclamativo", "punto esclamativo"),
        ("it", "spy-misdn: M I S D N  (emme-iessedienne)", "m i s d n"),
        ("it", "confbridge-muted: Voce disattivata. (You are now muted.)", "voce disattivata"),
        ("en", 'spy-iax2: IAX (note: does not say "2")', "iax"),
        ("en", "confbridge-binaural-on: 3D audio, 28 A.M.", "three d audio twenty eight a m"),
        ("fr", "x: appuyez sur 71", "appuyez sur soixante et onze"),
        ("en", "beep: beep", "<nothing is spoken>"),
        ("it", "silence/1: (1 secondo di silenzio)", "<nothing is spoken>"),
        ("fr", "x: (ahooga)", "<nothing is spoken>"),
        ("ru", "x: <beep ascending>", "<nothing is spoken>"),
        ("es", "x: [ tono de error ]", "<nothing is spoken>"),
        ("fr", "spy-dahdi:", "<nothing is spoken>"),
        ("it", "is: Is.", "<the transcript is known to be wrong>"),
        ("en", "spy-h323: H.323", "<a number of three or more digits>"),
        ("en", "x: a 28.8 kilobit modem", "<a number of three or more digits>"),
        ("en", "x: visit www.asterisk.org.", "<a web address>"),
        ("en", "x: press * to pause", "<a symbol with several names>"),
        ("it", "invalid: [quello] non è valido", "<bracketed words that may or may not be spoken>"),
        ("fr", "x: poli (jamais), appuyez", "<bracketed words that may or may not be spoken>"),
        ("ru", "dir-usingkeypad: используйте 7 для Q", "<letters of another alphabet>"),
    ],
)
def test_cleaning(language: str, line: str, words: str) -> None:
    assert _clean(line, language) == words


def test_transcript_files_keep_the_published_text_and_skip_comments() -> None:
    content = "\ufeff; Core Sounds\r\n\r\nconf-full: La conferenza ? piena.\r\nno colon\r\n"
    assert prepare.read_transcripts(content, "it") == [
        ("conf-full", "La conferenza ? piena.", "La conferenza è piena.")
    ]


@pytest.mark.parametrize(
    ("text", "duration", "reason"),
    [
        ("a", 0.9, None),
        ("a", 0.1, "shorter than"),
        ("word " * 100, 31.0, "longer than 30 s"),
        ("far more words than a second holds", 0.5, "too many words"),
        ("a", 5.0, "too few words"),
    ],
)
def test_texts_that_cannot_belong_to_the_audio(text: str, duration: float, reason: str | None) -> None:
    found = prepare.why_unlikely(text, duration)
    assert found is None if reason is None else reason in found


def _wav(path: Path, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * round(8000 * seconds)))


def test_selection_says_why_prompts_are_left_out(tmp_path: Path) -> None:
    for name in ("letters/o", "hello", "digits/0", "beep"):
        _wav(tmp_path / f"{name}.wav")
    content = "letters/O: O\nhello: Hello.\ndigits/0: zero\ndigits/0: oh\nbeep: beep\nlost: lost"
    prompts, left_out = prepare.select(prepare.read_transcripts(content, "en"), tmp_path, "en")
    assert [(p.name, p.text, p.duration) for p in prompts] == [
        ("letters/O", "o", 1.0),
        ("hello", "hello", 1.0),
    ]
    assert left_out == {
        "two transcripts of one prompt": ["digits/0", "digits/0"],
        "nothing is spoken": ["beep"],
        "no audio": ["lost"],
    }


# The split


@given(st.lists(st.tuples(st.text(max_size=20), st.sampled_from(["en", "es", "fr", "it", "ru"]))))
def test_no_sentence_is_in_two_splits(published: list[tuple[str, str]]) -> None:
    homes: dict[str, set[str]] = {}
    for text, language in published:
        for variant in (text, text.upper(), f"...{text}!"):
            normalized = prepare.normalize(variant, language)
            homes.setdefault(normalized, set()).add(prepare.split_of(normalized))
    assert all(len(splits) == 1 and splits <= set(prepare.SPLITS) for splits in homes.values())


def test_the_split_never_changes() -> None:
    sentences = ["uno", "la conferenza è piena", "hello", "thank you", "сообщение удалено"]
    assert [prepare.split_of(s) for s in sentences] == ["train", "train", "dev", "test", "train"]
    shares = [prepare.split_of(str(i)) for i in range(5000)]
    assert shares.count("test") / 5000 == pytest.approx(0.12, abs=0.02)
    assert shares.count("dev") / 5000 == pytest.approx(0.08, abs=0.02)


# Archives and the network


def _tar(files: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


def _ar(members: dict[str, bytes]) -> bytes:
    archive = b"!<arch>\n"
    for name, content in members.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        archive += header + content + b"\n" * (len(content) % 2)
    return archive


def test_a_debian_package_is_read_without_dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare.shutil, "which", lambda name: None)
    deb = tmp_path / "a.deb"
    data = _tar({"./usr/share/a.txt": b"hello"}, "w:xz")
    deb.write_bytes(_ar({"debian-binary": b"2.0", "control.tar.xz": b"odd", "data.tar.xz": data}))
    prepare.unpack(prepare.data_archive(deb), tmp_path)
    assert (tmp_path / "usr/share/a.txt").read_bytes() == b"hello"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("content", [b"", b"<html>", _ar({"debian-binary": b"2.0"}), b"!<arch>\n" + b"x" * 99])
def test_what_is_no_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(prepare.shutil, "which", lambda name: None)
    deb = tmp_path / "a.deb"
    deb.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.deb: no data\.tar"):
        prepare.data_archive(deb)


@pytest.mark.parametrize(
    "archive", [b"", b"<html>", _tar({"a": bytes(9999)}, "w:gz")[:40]], ids=["empty", "page", "cut off"]
)
def test_a_torn_archive_is_an_error(tmp_path: Path, archive: bytes) -> None:
    with pytest.raises(DataError, match="cannot be unpacked"):
        prepare.unpack(archive, tmp_path)


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be unpacked"):
        prepare.unpack(_tar({"../escaped": b""}, "w:gz"), tmp_path / "inside")
    assert not (tmp_path / "escaped").exists()


def _upstream(folder: Path) -> bytes:
    files = {"core-sounds-it.txt": b"hello-world: Ciao mondo.\nvm-and: e\n", "CREDITS-it": b"Carlo"}
    for name in ("hello-world", "vm-and"):
        _wav(folder / f"{name}.wav")
        files[f"{name}.wav"] = (folder / f"{name}.wav").read_bytes()
    return _tar(files, "w:gz")


def test_without_apt_the_upstream_archive_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = _upstream(tmp_path / "made")
    urls: list[str] = []

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        urls.append(url)
        return io.BytesIO(archive)

    monkeypatch.setattr(prepare.shutil, "which", lambda name: None)
    monkeypatch.setattr(prepare.urllib.request, "urlopen", urlopen)
    output = tmp_path / "out" / "ivr-it"
    arguments = ["--language", "it", "--output", str(output)]
    assert CliRunner().invoke(prepare.main, arguments).exit_code == 0
    assert urls == [f"{prepare.UPSTREAM}/asterisk-core-sounds-it-wav-1.6.1.tar.gz"]
    assert [path.name for path in output.parent.iterdir()] == ["ivr-it"]
    manifests = [(output / f"{split}.jsonl").read_text(encoding="utf-8") for split in prepare.SPLITS]
    rows = [json.loads(line) for line in "".join(manifests).splitlines()]
    assert {(row["prompt"], row["text"], row["raw_text"], row["duration"]) for row in rows} == {
        ("hello-world", "ciao mondo", "Ciao mondo.", 1.0),
        ("vm-and", "e", "e", 1.0),
    }
    assert all((output / row["audio"]).is_file() and row["speaker"] == "it_IT_m_Carlo" for row in rows)
    assert "Carlo" in (output / "ATTRIBUTION").read_text(encoding="utf-8").splitlines()

    again = CliRunner().invoke(prepare.main, arguments)
    assert again.exit_code == 0
    assert "already" in again.stderr
    assert len(urls) == 1


def test_apt_failing_leads_upstream_and_no_network_to_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def urlopen(url: str, timeout: float) -> io.BytesIO:
        raise urllib.error.URLError("no route to host")

    calls: list[str] = []

    def run_apt(folder: Path, *arguments: str) -> bool:
        calls.append(arguments[-1])
        return False

    monkeypatch.setattr(prepare.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(prepare, "run_apt", run_apt)
    monkeypatch.setattr(prepare.urllib.request, "urlopen", urlopen)
    result = CliRunner().invoke(prepare.main, ["--language", "it", "--output", str(tmp_path / "ivr-it")])
    assert result.exit_code == 1
    assert "no route to host" in result.stderr.splitlines()[-1]
    assert calls == ["asterisk-core-sounds-it-wav", "update"]
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="choose another --output"):
        prepare.already_made("it", tmp_path, overwrite=True)
    (tmp_path / "train.jsonl").write_text('{"language": "en"}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="holds 'en', not 'it'"):
        prepare.already_made("it", tmp_path, overwrite=False)
    assert prepare.already_made("en", tmp_path, overwrite=False)
    assert not prepare.already_made("en", tmp_path, overwrite=True)
