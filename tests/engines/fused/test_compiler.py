"""The cache of compiled kernels: one compilation, whoever asks, and never a broken library."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gruvy.engines.fused import compiler
from gruvy.engines.fused.compiler import CompilerError, available, library
from gruvy.errors import EngineError

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

SOURCE = 'extern "C" __attribute__((visibility("default"))) int answer() { return 42; }\n'

# Stands for the compiler: logs a line for each compilation; while HOLD exists it leaves half a library and waits.
WRAPPER = """#!/bin/sh
case "$*" in *--version*) exec {real} --version;; esac
echo "$*" >> {log}
if [ -e {hold} ]; then
    for last; do :; done
    printf half > "$last"
    (sleep 1; touch {survived}) > /dev/null 2>&1 &
    while [ -e {hold} ]; do sleep 0.02; done
fi
exec {real} "$@"
"""

# Another process; it loads compiler.py by its path, which spares it torch.
CHILD = """
import ctypes, importlib.util, sys
spec = importlib.util.spec_from_file_location("compiler", sys.argv[1])
compiler = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compiler)
print("ready", flush=True)
for _ in range(2):
    file = compiler.library("toy", sys.argv[2], [])
print(file, ctypes.CDLL(str(file)).answer())
"""


def answer(file):
    return ctypes.CDLL(str(file)).answer()


def start_child(*options):
    """A process that asks twice for the library of SOURCE and prints its path and answer."""
    command = [sys.executable, *options, "-c", CHILD, compiler.__file__, SOURCE]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(child):
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    path, value = output.splitlines()[-1].rsplit(" ", 1)
    return Path(path), int(value), errors


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, and the compiler that is found without CXX."""
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("GRUVY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Spy:
    """A compiler that logs its compilations and can be held in the middle of one."""

    def __init__(self, folder: Path):
        self.program, self.log, self.hold = folder / "spy++", folder / "spy.log", folder / "hold"
        self.survived = folder / "survived"
        real = compiler._compiler()[0][0]
        self.program.write_text(WRAPPER.format(real=real, log=self.log, hold=self.hold, survived=self.survived))
        self.program.chmod(0o755)

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def spy(monkeypatch, tmp_path):
    spy = Spy(tmp_path)
    monkeypatch.setenv("CXX", str(spy.program))
    yield spy
    spy.hold.unlink(missing_ok=True)


def test_a_source_becomes_a_library(cache):
    file = library("toy", SOURCE, [])
    assert answer(file) == 42
    assert file.parent == cache / "kernels"
    assert file.name.startswith("toy-")
    assert file.with_suffix(".cpp").read_text() == SOURCE
    assert [folder.stat().st_mode & 0o777 for folder in (cache, cache / "kernels")] == [0o700, 0o700]
    assert available() is None


def test_nothing_is_compiled_twice(spy):
    assert library("toy", SOURCE, []) == library("toy", SOURCE, [])
    assert len(spy.calls()) == 1


def test_whatever_the_library_depends_on_makes_another(spy, monkeypatch, tmp_path):
    headers = tmp_path / "headers"
    headers.mkdir()
    (headers / "one.h").write_text("#define ONE 1\n")
    monkeypatch.setattr(compiler, "_HERE", headers)
    source = '#include "one.h"\n' + SOURCE.replace("42", "ONE + N")
    files = [library("toy", source, ["-DN=1"]), library("toy", source, ["-DN=2"])]
    files.append(library("toy", source + "// edited", ["-DN=1"]))
    (headers / "one.h").write_text("#define ONE 10\n")
    files.append(library("toy", source, ["-DN=1"]))
    monkeypatch.setenv("CXX", f"{spy.program} -DUNUSED")
    files.append(library("toy", source, ["-DN=1"]))
    assert len(set(files)) == len(spy.calls()) == 5
    assert [answer(file) for file in files] == [2, 3, 2, 11, 11]


@pytest.mark.parametrize("name", ["my cell/../x", "größe", "", "-o", "x" * 500, "a\0b"])
def test_any_name_makes_a_file_in_the_cache(cache, name):
    file = library(name, SOURCE, [])
    assert file.parent == cache / "kernels"
    assert answer(file) == 42


def test_processes_at_once_compile_once(spy):
    spy.hold.touch()
    children = [start_child() for _ in range(2)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    wait_for(spy.calls)
    time.sleep(0.3)  # for the other to come to the lock
    spy.hold.unlink()
    (one, *values_one), (other, *values_other) = map(result, children)
    assert one == other
    assert values_one == values_other == [42, ""]
    assert len(spy.calls()) == 1


def test_threads_at_once_compile_once(spy):
    with ThreadPoolExecutor(4) as pool:
        files = set(pool.map(lambda _: library("toy", SOURCE, []), range(4)))
    assert len(files) == len(spy.calls()) == 1


def put(file, content):
    file.unlink()  # what is mapped of the old file stays
    file.write_bytes(content)


def digest(file):
    return file.with_suffix(".so.sha256")


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    put(file, content)


def unloadable(file):
    put(file, b"no library")
    put(digest(file), compiler._sha256(file))


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        unloadable,
        lambda file: put(file, file.read_bytes()[:1000]),
        lambda file: put(file, b""),
        lambda file: file.unlink(),
        lambda file: put(digest(file), b"0" * 64),
        lambda file: put(digest(file), b"\xff"),
        lambda file: digest(file).unlink(),
    ],
    ids=["flipped", "unloadable", "truncated", "empty", "gone", "digest edited", "digest no text", "digest gone"],
)
def test_a_damaged_entry_is_built_again(spy, damage):
    file, _, _ = result(start_child())  # in this process, a library once loaded would hide its file
    good = file.read_bytes()
    damage(file)
    assert library("toy", SOURCE, []) == file
    assert file.read_bytes() == good
    library("toy", SOURCE, [])
    assert len(spy.calls()) == 2


def test_a_process_killed_in_a_compilation_breaks_nothing(spy):
    spy.hold.touch()
    child = start_child()
    wait_for(spy.calls)
    time.sleep(0.1)  # for half a library to be written
    child.send_signal(signal.SIGKILL)
    child.communicate()
    spy.hold.unlink()
    assert answer(library("toy", SOURCE, [])) == 42
    assert len(spy.calls()) == 2


def test_a_failed_compilation_leaves_no_temporary_file(cache):
    with pytest.raises(CompilerError):
        library("toy", "nonsense", [])
    assert {file.suffix for file in (cache / "kernels").iterdir()} == {".cpp", ".lock", ".log"}


@pytest.fixture
def under_a_file(cache):
    """A cache folder that cannot be, for root neither."""
    cache.write_text("in the way")


@pytest.mark.usefixtures("under_a_file")
def test_without_a_cache_a_temporary_folder_serves_with_one_warning(cache):
    with pytest.warns(UserWarning, match="cannot be written.*set GRUVY_CACHE to") as caught:
        file = library("toy", SOURCE, [])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert library("toy", SOURCE, []) == file
    assert answer(file) == 42
    assert cache not in file.parents
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("under_a_file")
def test_the_temporary_folder_ends_with_its_process():
    path, value, errors = result(start_child("-W", "always"))
    assert value == 42
    assert errors.count("UserWarning") == 1
    assert not path.parent.exists()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
@pytest.mark.parametrize("which", [".", "kernels"])
def test_a_cache_that_others_can_write_is_refused(cache, mode, which):
    kernels = library("toy", SOURCE, []).parent
    (cache / which).chmod(mode)
    with pytest.warns(UserWarning, match="other users can write"):
        assert library("toy", SOURCE, []).parent != kernels


def test_a_cache_of_another_user_is_refused(cache, monkeypatch):
    cache.mkdir(mode=0o700)
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.warns(UserWarning, match="other users can write"):
        library("toy", SOURCE, [])


def test_without_gruvy_cache_the_folder_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("GRUVY_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert library("toy", SOURCE, []).parent == tmp_path / ".cache" / "gruvy" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert library("toy", SOURCE, []).parent == tmp_path / "xdg" / "gruvy" / "kernels"


def test_a_disk_that_fills_up_is_named(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(CompilerError, match=r"kernel of toy cannot be kept on disk .*No space left.*free some space"):
        library("toy", SOURCE, [])


def test_a_compilers_first_error_is_the_message(cache):
    with pytest.raises(EngineError) as caught:
        library("toy", "int a;\nint b = undeclared;\nint c = neither;\n", ["-Wall"])
    message = str(caught.value)
    log = next((cache / "kernels").glob("toy-*.log"))
    assert "failed on the kernel of toy: " in message
    assert f"{log.with_suffix('.cpp')}:2:9: error: " in message
    assert "undeclared" in message
    assert "neither" not in message
    assert str(log) in message
    assert "neither" in log.read_text()
    assert "\n" not in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_library_that_cannot_be_loaded_is_an_error():
    with pytest.raises(CompilerError, match=r"kernel of toy was compiled, but .*missing_function"):
        library("toy", 'extern "C" int missing_function(); int x = missing_function();', [])


def test_a_compiler_that_hangs_is_stopped_with_what_it_started(spy, monkeypatch):
    library("warm up", SOURCE, [])
    spy.hold.touch()
    monkeypatch.setattr(compiler, "_SECONDS", 0.2)
    with pytest.raises(CompilerError, match=r"took more than 0\.2 s for the kernel of toy"):
        library("toy", SOURCE, [])
    time.sleep(1.2)
    assert not spy.survived.exists()


def assert_unavailable(*words):
    reason = available()
    assert reason is not None
    assert not [word for word in words if word not in reason], reason
    with pytest.raises(CompilerError) as caught:
        library("toy", SOURCE, [])
    assert str(caught.value) == reason


def test_no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert_unavailable("no C++ compiler was found", "install g++ or clang++")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("no-such-compiler -O1", ["'no-such-compiler'", "no such program", "unset"]),
        ("/no/such/g++", ["'/no/such/g++'", "no such program"]),
        ("g++ 'unclosed", ["no command"]),
        ("false", ["false does not work", "set CXX"]),
    ],
)
def test_a_useless_cxx_is_named(monkeypatch, given, words):
    monkeypatch.setenv("CXX", given)
    assert_unavailable(*words)


def test_a_cxx_that_is_no_program_is_named(monkeypatch, tmp_path):
    (tmp_path / "text").write_bytes(b"\0")
    (tmp_path / "text").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "text"))
    assert_unavailable("text cannot be started")


def test_cxx_may_hold_arguments(spy, monkeypatch):
    monkeypatch.setenv("CXX", f"{spy.program} -DVALUE=7 '-DSPACED=a b'")
    assert answer(library("toy", SOURCE.replace("42", "VALUE"), [])) == 7
    assert "-DSPACED=a b" in spy.calls()[0]


@pytest.mark.parametrize("given", ["", "  "])
def test_an_empty_cxx_is_none(monkeypatch, given):
    monkeypatch.setenv("CXX", given)
    assert available() is None
