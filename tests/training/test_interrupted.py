"""Ctrl-C, a kill and a full disk: what stays can be taken up again, and --out is never half written."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixtures.small import (
    COMMAND,
    FILES,
    NAME,
    data_file,
    environment,
    rows,
    small_recipe,
    snapshot,
    train,
    trained,
    write_csv,
)
from tests.fixtures.small import request as wish

import gruvy
from gruvy.data.text import TextInputs
from gruvy.errors import BadInput, Interrupted, RunFailed
from gruvy.training import loop

COMPARED = ("metrics", "baseline", "branches", "history", "bootstrap")


@pytest.fixture(autouse=True)
def recipe():
    with small_recipe():
        yield


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


class Killed(BaseException):
    """Ends a run without any of its clean-up, as a kill does."""


def stop_in_epoch(monkeypatch, number, error=KeyboardInterrupt):
    """Raise in the second batch of epoch `number`, from 1."""
    step = loop.Steps.training_step

    def training_step(self, batch, batch_idx):
        if self.current_epoch == number - 1 and batch_idx == 1:
            raise error
        return step(self, batch, batch_idx)

    monkeypatch.setattr(loop.Steps, "training_step", training_step)


def interrupted(out, epoch=2, **changes):
    """Leave in `out` what Ctrl-C in an epoch leaves; the message."""
    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, epoch)
        with pytest.raises(Interrupted) as caught:
            train(wish("classify", data_file(), out, **changes))
    return str(caught.value)


def assert_whole(out):
    assert {p.name for p in out.iterdir()} == FILES
    assert gruvy.load(out).predict("splendid lamp")["label"] in ("good", "bad")


def test_ctrl_c_keeps_a_checkpoint_and_says_so(out):
    assert interrupted(out) == "interrupted; the same command goes on from the last whole epoch"
    assert [p.name for p in out.iterdir()] == [".gruvy-training"]
    assert (out / ".gruvy-training" / "last.ckpt").is_file()
    with pytest.raises(BadInput, match="unfinished training; run the same gruvy train command again"):
        gruvy.load(out)


def test_ctrl_c_in_the_first_epoch_leaves_nothing(out):
    assert interrupted(out, epoch=1) == "interrupted; no epoch was over, so nothing is kept"
    assert not out.exists()


def test_ctrl_c_still_works_afterwards(out):
    interrupted(out)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("epoch", [2, 3])
@pytest.mark.parametrize(
    "recipe_changes",
    [{"word_dropout": 0.0, "locked_dropout": 0.0, "dropout": 0.0}, {}],
    ids=["without dropout", "with dropout"],
)
def test_the_same_request_goes_on_and_ends_as_if_never_stopped(out, tmp_path, recipe_changes, epoch):
    with small_recipe(**recipe_changes):
        whole = (
            trained("classify")[1] if not recipe_changes else train(wish("classify", data_file(), tmp_path / "whole"))
        )
        interrupted(out, epoch)
        outcome = train(wish("classify", data_file(), out))
    assert_whole(out)
    assert len(outcome.measured["history"]) == len(whole.measured["history"])
    for key in COMPARED:
        assert outcome.measured[key] == whole.measured[key], key


def test_stopping_twice_still_ends_well(out):
    interrupted(out, 2)
    interrupted(out, 3)
    assert len(train(wish("classify", data_file(), out)).measured["history"]) == 3
    assert_whole(out)


def test_another_request_on_an_unfinished_training_is_refused_and_changes_nothing(out, tmp_path):
    interrupted(out)
    before = snapshot(out)
    other_data = write_csv(tmp_path / "other.csv", rows(seed=5))
    for changes in ({"seed": 1}, {"cell": gruvy.cells.lstm}, {"data": str(other_data)},
                    {"settings": {"class_weights": True}}, {"recipe": "small"}):  # fmt: skip
        with pytest.raises(BadInput, match="unfinished training with other settings"):
            train(wish("classify", data_file(), out, **changes))
        assert snapshot(out) == before, changes


def test_another_request_may_overwrite_an_unfinished_training(out):
    interrupted(out)
    outcome = train(wish("classify", data_file(), out, seed=1, overwrite=True))
    assert len(outcome.measured["history"]) == 3
    assert_whole(out)


def test_a_damaged_checkpoint_is_left_behind(out):
    interrupted(out)
    checkpoint = out / ".gruvy-training" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert len(train(wish("classify", data_file(), out)).measured["history"]) == 3
    assert_whole(out)


# A kill. The first two are real, the others end the run without its clean-up.

KILL = """
import os, signal
from gruvy.training import loop
step = loop.Steps.training_step
def training_step(self, batch, batch_idx):
    if self.current_epoch == 1 and batch_idx == 1:
        os.kill(os.getpid(), signal.{signal})
    return step(self, batch, batch_idx)
loop.Steps.training_step = training_step
"""


def kill(out, name):
    """Run the command until the signal comes; (return code, standard output, standard error)."""
    code = KILL.format(signal=name) + COMMAND
    arguments = ["train", "classify", "--data", str(data_file()), "--out", str(out), "--recipe", NAME]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=100,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_killed_training_goes_on(out):
    assert kill(out, "SIGKILL")[0] == -signal.SIGKILL
    assert [p.name for p in out.iterdir()] == [".gruvy-training"]
    outcome = train(wish("classify", data_file(), out))
    assert len(outcome.measured["history"]) == 3
    assert_whole(out)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_polite_signal_ends_the_command_with_one_sentence(out, name):
    code, stdout, stderr = kill(out, name)
    assert (code, stdout) == (1, "")
    last = stderr.rstrip().splitlines()[-1]
    assert last == "gruvy: interrupted; the same command goes on from the last whole epoch"
    assert "Traceback" not in stderr
    assert (out / ".gruvy-training" / "last.ckpt").is_file()


@pytest.mark.parametrize("moved", [1, 4, 7])
def test_a_kill_while_the_files_are_moved_in_place_is_made_good(out, monkeypatch, moved):
    rename, count = Path.rename, []

    def stopping(self, target):
        if self.parent.name == "artefact":
            count.append(self)
            if len(count) > moved:
                raise Killed
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stopping)
        with pytest.raises(Killed):
            train(wish("classify", data_file(), out))
    assert not (out / "config.json").exists()
    train(wish("classify", data_file(), out))
    assert_whole(out)


# A full disk


def full(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_for(name, original):
    def write(self, *arguments, **options):
        return full() if self.name == name else original(self, *arguments, **options)

    return write


FULL = {
    "a checkpoint": (loop.os, "replace", full),
    "the weights": (Path, "write_bytes", full_for("model.safetensors", Path.write_bytes)),
    "the hashes": (Path, "write_text", full_for("hashes.json", Path.write_text)),
    "the picture": (Path, "write_bytes", full_for("training.png", Path.write_bytes)),
    "moving": (Path, "rename", full),
}


@pytest.mark.parametrize("what", FULL)
def test_a_full_disk_is_said_and_leaves_no_half_artefact(what, out, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(*FULL[what])
        with pytest.raises(RunFailed, match=r"No space left.*free some space"):
            train(wish("classify", data_file(), out))
    assert not out.exists() or {p.name for p in out.iterdir()} == {".gruvy-training"}
    assert not (out / ".gruvy-training" / "artefact").exists()
    train(wish("classify", data_file(), out))  # with space again
    assert_whole(out)


LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
del sys.argv[1]
"""


def test_files_that_may_not_grow_are_a_failed_run_with_one_sentence(out):
    """A limit of the operating system on the size of a file, the nearest to a full disk a test can have."""
    arguments = ["train", "classify", "--data", str(data_file()), "--out", str(out), "--recipe", NAME]
    done = subprocess.run(
        [sys.executable, "-c", LIMIT + COMMAND, "1000", *arguments], capture_output=True, text=True,
        env=environment(), timeout=100,
    )  # fmt: skip
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 2)
    assert "File too large" in done.stderr.rstrip().splitlines()[-1]
    assert "unexpected" not in done.stderr
    assert not out.exists()


def test_a_disk_that_is_full_for_the_tokenizer_keeps_the_checkpoint(out, monkeypatch):
    """Hours of training must not go with it."""

    def save(self, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(TextInputs, "save", save)
        with pytest.raises(RunFailed, match="No space left"):
            train(wish("classify", data_file(), out))
    assert (out / ".gruvy-training" / "last.ckpt").is_file()


# What is in --out already


def test_a_finished_model_is_not_overwritten_unasked(tmp_path):
    folder, _ = trained("classify")
    before = snapshot(folder)
    with pytest.raises(BadInput, match="already holds a model; give another directory, or --overwrite"):
        train(wish("classify", data_file(), folder))
    assert snapshot(folder) == before


def copy_of_trained(out):
    import shutil

    shutil.copytree(trained("classify")[0], out)
    return out


def test_overwriting_replaces_the_model_and_nothing_else(out):
    (copy_of_trained(out) / "notes.txt").write_text("mine")
    train(wish("regress", data_file(), out, overwrite=True))
    assert {p.name for p in out.iterdir()} == {*FILES, "residuals.png", "notes.txt"}
    assert (out / "notes.txt").read_text() == "mine"
    assert "value" in gruvy.load(out).predict("splendid lamp")


@pytest.mark.parametrize("content", ["", "3", "[]", "{}"])
def test_a_damaged_model_can_be_overwritten(out, content):
    (copy_of_trained(out) / "hashes.json").write_text(content)
    train(wish("classify", data_file(), out, overwrite=True))
    assert_whole(out)


def test_a_failed_overwrite_leaves_the_old_model(out):
    before = snapshot(copy_of_trained(out))
    with small_recipe(learning_rate=1e38, clip=1e38, averaging=0.0), pytest.raises(RunFailed):
        train(wish("classify", data_file(), out, overwrite=True))
    assert snapshot(out) == before


def test_overwriting_deletes_nothing_outside_the_folder(out, tmp_path):
    """The list of an artefact's files comes with it, from whoever made it."""
    (tmp_path / "precious.txt").write_text("mine")
    hashes = copy_of_trained(out) / "hashes.json"
    hashes.write_text(json.dumps({**json.loads(hashes.read_text()), "../precious.txt": "0"}))
    train(wish("classify", data_file(), out, overwrite=True))
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "checkpoint/weights.pt", "config.json"])
def test_a_folder_with_other_files_is_refused_and_not_touched(out, name, overwrite):
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("{}")
    before = snapshot(out)
    with pytest.raises(BadInput):
        train(wish("classify", data_file(), out, overwrite=overwrite))
    assert snapshot(out) == before


def test_a_file_as_out_is_refused_and_not_touched(out):
    out.write_text("mine")
    with pytest.raises(BadInput, match="is a file; give a directory"):
        train(wish("classify", data_file(), out))
    assert out.read_text() == "mine"


def test_an_empty_folder_is_used_and_stays_after_a_failure(out):
    out.mkdir()
    with small_recipe(learning_rate=1e38, clip=1e38, averaging=0.0), pytest.raises(RunFailed):
        train(wish("classify", data_file(), out))
    assert list(out.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused():
    with pytest.raises(BadInput, match="--out /proc/1/gruvy cannot be written"):
        train(wish("classify", data_file(), Path("/proc/1/gruvy")))


def test_two_trainings_do_not_share_a_folder(out, monkeypatch):
    """The second is refused at once, and the first ends as if it had been alone."""
    step, refusals = loop.Steps.training_step, []

    def training_step(self, batch, batch_idx):
        if not refusals:
            with pytest.raises(BadInput, match="another training writes to") as caught:
                train(wish("classify", data_file(), out))
            refusals.append(caught)
        return step(self, batch, batch_idx)

    monkeypatch.setattr(loop.Steps, "training_step", training_step)
    train(wish("classify", data_file(), out))
    assert refusals
    assert_whole(out)
