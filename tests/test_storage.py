from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from speechxfer import storage
from speechxfer.errors import DiskFullError, StorageError
from speechxfer.storage import recover_all, replacing, replacing_folder, write_json, write_text


def test_a_file_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"è": 1})
    assert (tmp_path / "new" / "a.json").read_text() == '{\n  "è": 1\n}\n'
    assert [item.name for item in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fill() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFullError, match=r"a\.txt: could not be written \(No space left on device\)"):
        fill()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, error: BaseException) -> None:
    folder = tmp_path / "model"
    for content in ("first", "second"):
        with replacing_folder(folder) as temporary:
            (temporary / "weights").write_text(content)
    assert (folder / "weights").read_text() == "second"

    def fail() -> None:
        with replacing_folder(folder) as temporary:
            (temporary / "weights").write_text("third")
            raise error

    with pytest.raises((StorageError, KeyboardInterrupt)):
        fail()
    assert (folder / "weights").read_text() == "second"
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def write_folder(path: Path, content: str) -> None:
    with replacing_folder(path) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "weights").write_text(content)


def content(path: Path) -> str | None:
    """What stands in a folder that `write_folder` wrote; whatever is there is whole."""
    return (path / "deep" / "weights").read_text() if path.exists() else None


#: A writer that is killed just before or after the nth call of something, with or without the exchange of names.
WRITER = """
import os, shutil, signal, sys
from collections.abc import Iterator
from pathlib import Path
from speechxfer import storage
from tests.test_storage import write_folder

target, exchange, moment, what, count = Path(sys.argv[1]), *sys.argv[2:5], int(sys.argv[5])
owner, name = {"_flush": (storage, "_flush"), "_remove": (storage, "_remove"), "replace": (Path, "replace"),
               "_exchanged": (storage, "_exchanged")}[what]
real = getattr(owner, name)

def dying(*arguments):
    global count
    count -= 1
    if count == 0 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(*arguments)
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

if exchange == "no":
    storage._exchanged = lambda *_: False
setattr(owner, name, dying)
write_folder(target, "new")
"""


def killed_writer(folder: Path, *, exchange: bool, moment: str, what: str, count: int) -> None:
    arguments = [str(folder), "yes" if exchange else "no", moment, what, str(count)]
    done = subprocess.run([sys.executable, "-c", WRITER, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged on Linux only")
@pytest.mark.parametrize(
    ("moment", "what", "kept"),
    [
        ("before", "_flush", "old"),
        ("before", "_exchanged", "old"),
        ("after", "_exchanged", "new"),
        ("before", "_remove", "new"),
    ],
)
def test_at_no_moment_is_a_folder_without_its_name(tmp_path: Path, moment: str, what: str, kept: str) -> None:
    write_folder(tmp_path / "model", "old")
    killed_writer(tmp_path / "model", exchange=True, moment=moment, what=what, count=1)
    assert content(tmp_path / "model") == kept
    recover_all(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
    assert content(tmp_path / "model") == kept


@pytest.mark.parametrize(
    ("moment", "what", "count", "kept"),
    [
        ("before", "replace", 1, "old"),
        ("after", "replace", 1, "old"),  # the old folder is under its temporary name only
        ("after", "replace", 2, "new"),
        ("before", "_remove", 1, "new"),
        ("after", "_remove", 1, "new"),
    ],
)
def test_where_names_cannot_be_exchanged_a_killed_writer_is_put_right(
    tmp_path: Path, moment: str, what: str, count: int, kept: str
) -> None:
    write_folder(tmp_path / "model", "old")
    killed_writer(tmp_path / "model", exchange=False, moment=moment, what=what, count=count)
    recover_all(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
    assert content(tmp_path / "model") == kept


def test_killed_before_there_was_anything_nothing_is_left(tmp_path: Path) -> None:
    killed_writer(tmp_path / "model", exchange=True, moment="before", what="replace", count=1)
    assert list(tmp_path.iterdir())
    recover_all(tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_exchange_a_failing_rename_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "model", "old")
    real = Path.replace

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".tmp":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, target)

    monkeypatch.setattr(storage, "_exchanged", lambda *_: False)
    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(StorageError, match="unchanged"):
        write_folder(tmp_path / "model", "new")
    assert content(tmp_path / "model") == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def test_of_several_old_versions_the_last_one_comes_back(tmp_path: Path) -> None:
    for number, name in enumerate((".model.aaaaaaaa.old", ".model.bbbbbbbb.old")):
        write_folder(tmp_path / name / "model", f"version {number}")
        os.utime(tmp_path / name, (number, number))
    recover_all(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
    assert content(tmp_path / "model") == "version 1"


def test_recovering_touches_nothing_else(tmp_path: Path) -> None:
    names = [".hidden", "notes.tmp", ".notes.tmp", ".model.old", "model.aaaaaaaa.tmp", ".model.AAAAAAAA.tmp"]
    for name in names:
        (tmp_path / name).write_text("mine")
    for name in (".a[1].json.aaaaaaaa.tmp", ".odd\nname.aaaaaaaa.tmp"):
        (tmp_path / name).write_text("half of it")
    recover_all(tmp_path)
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted(names)
    recover_all(tmp_path / "missing")


def test_a_link_to_a_folder_is_replaced_and_what_it_names_is_kept(tmp_path: Path) -> None:
    write_folder(tmp_path / "elsewhere", "old")
    (tmp_path / "model").symlink_to(tmp_path / "elsewhere")
    write_folder(tmp_path / "model", "new")
    assert (content(tmp_path / "model"), content(tmp_path / "elsewhere")) == ("new", "old")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["elsewhere", "model"]


HOLDING = """
import sys, time
from collections.abc import Iterator
from pathlib import Path
from speechxfer.storage import only_writer
with only_writer(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock `tmp_path/made/run.lock`."""
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "made" / "run.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_writer_is_refused_while_the_first_lives(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    lock = tmp_path / "made" / "run.lock"
    with pytest.raises(StorageError, match=rf"the run: another process is writing there \(process {holder.pid} on "):
        storage.check_writer(lock, "the run")
    with pytest.raises(StorageError, match="wait for it"), storage.only_writer(lock, "the run"):
        raise AssertionError
    assert lock.exists()


def test_a_lock_ends_with_its_process(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    lock = tmp_path / "made" / "run.lock"
    holder.kill()
    holder.wait()
    assert lock.exists()
    with storage.only_writer(lock, "the run"):
        assert f"process {os.getpid()} on " in lock.read_text()
    assert not lock.exists()
    storage.check_writer(lock, "the run")


def test_two_writers_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with (
        storage.only_writer(lock, "one"),
        pytest.raises(StorageError, match="one: another process"),
        storage.only_writer(lock, "one"),
    ):
        raise AssertionError


def test_folders_made_for_a_lock_go_again_if_they_stay_empty(tmp_path: Path) -> None:
    with storage.only_writer(tmp_path / "a" / "b" / "run.lock", "b"):
        pass
    assert not (tmp_path / "a").exists()
    with storage.only_writer(tmp_path / "a" / "b" / "run.lock", "b"):
        (tmp_path / "a" / "kept").touch()
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["kept"]


def test_a_lock_that_was_removed_by_its_last_holder_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening the file and locking it, whoever had the lock may remove the file and leave."""
    lock, real, opened = tmp_path / "run.lock", storage._lock, []

    def late(descriptor: int) -> bool:
        if not opened:
            lock.unlink()
        opened.append(descriptor)
        return real(descriptor)

    monkeypatch.setattr(storage, "_lock", late)
    with storage.only_writer(lock, "it"):
        assert len(opened) == 2
        assert lock.exists()


def test_where_the_file_system_has_no_locks_nobody_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refusing)
    with storage.only_writer(tmp_path / "run.lock", "it"):
        pass


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be created"), storage.only_writer(tmp_path / "file" / "x" / "lock", "x"):  # fmt: skip  # noqa: E501
        raise AssertionError


def test_the_cache_may_be_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SPEECHXFER_CACHE", "~/big/cache")
    assert storage.cache_folder() == Path("/home/me/big/cache")


@pytest.mark.parametrize(
    "name", ["x" * 255, "é" * 127, os.fsdecode(b"\xe9" * 255), os.fsdecode(b"caf\xe9.txt"), "a\nb"]
)
def test_any_name_that_a_file_may_have_can_be_written(tmp_path: Path, name: str) -> None:
    for content in ("first", "second"):
        write_text(tmp_path / name, content)
    write_folder(tmp_path / "models" / name, "first")
    write_folder(tmp_path / "models" / name, "second")
    assert (tmp_path / name).read_text() == "second"
    assert content_of_all(tmp_path / "models") == {name: "second"}


def test_a_folder_with_a_long_name_comes_back_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ("m" * 250)
    write_folder(path, "old")
    monkeypatch.setattr(storage, "_exchanged", lambda *_: False)
    monkeypatch.setattr(storage, "_remove", lambda *_: None)
    write_folder(path, "new")
    for item in path.rglob("*"):
        item.unlink() if item.is_file() else None
    (path / "deep").rmdir()
    path.rmdir()  # as if killed between two renames: the old one lies under its temporary name
    monkeypatch.undo()
    recover_all(tmp_path)
    assert content_of_all(tmp_path) == {path.name: "old"}


def content_of_all(folder: Path) -> dict[str, str | None]:
    return {item.name: content(item) for item in folder.iterdir()}


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as threads:
        read = threads.submit(pipe.read_text)
        write_text(pipe, "text")
        assert read.result() == "text"
    assert pipe.is_fifo()
    assert [item.name for item in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="the system has no such file")
@pytest.mark.parametrize("redirected", ["| cat", "> file; cat file"])
def test_standard_output_may_be_named_as_a_file(tmp_path: Path, redirected: str) -> None:
    code = "from pathlib import Path; from speechxfer.storage import write_text; write_text(Path('/dev/stdout'), 'a')"
    command = ["bash", "-c", f'"{sys.executable}" -c "{code}" {redirected}']
    done = subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.stderr) == (b"a", b"")
    assert Path("/dev/stdout").is_symlink()
