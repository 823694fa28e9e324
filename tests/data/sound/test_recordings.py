"""Labels and groups of recordings come from folders, from names, or from a table, and what is missing is said."""

import json

import numpy as np
import pytest
from tests.fixtures.small import write_csv
from tests.fixtures.sound import names_folder, write

from gruvy.data.sound.recordings import read_recordings, readable
from gruvy.errors import BadInput

ONE = np.full(8, 0.1)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    return names_folder(tmp_path_factory.mktemp("named"), takes=2)


@pytest.fixture
def folders(tmp_path):
    for name in ("dog/a1b-x-0.wav", "dog/c2d-x-1.FLAC", "cat/deep/a1b-x-1.ogg", "cat/c2d-x-0.wav"):
        write(tmp_path / name, ONE)
    (tmp_path / "dog" / "._a.wav").write_text("what a Mac leaves behind")
    return tmp_path


def test_the_folder_is_the_label_where_there_are_several(folders):
    found = read_recordings(folders)
    assert [(p.name, label) for p, label in zip(found.paths, found.targets, strict=True)] == [
        ("c2d-x-0.wav", "cat"), ("a1b-x-1.ogg", "deep"), ("a1b-x-0.wav", "dog"), ("c2d-x-1.FLAC", "dog"),
    ]  # fmt: skip
    assert found.rows.tolist() == [1, 2, 3, 4]
    assert found.groups is None
    assert found.notes == ["labels: the folders of the recordings, 'cat', 'deep', 'dog'"]


def test_the_name_is_the_label_where_there_is_one_folder(named):
    found = read_recordings(named, group="speaker")
    assert found.targets == [p.name.split("_")[0] for p in found.paths]
    assert found.groups == [p.name.split("_")[1] for p in found.paths]
    assert "part 2 of the names, such as 'ann' in fall_ann_0.wav" in found.notes[-1]


def test_a_part_of_names_that_some_share_is_the_group(folders):
    found = read_recordings(folders, label_from="folder", group="speaker")
    assert found.groups == ["c2d", "a1b", "a1b", "c2d"]


def test_places_in_a_pattern(named):
    found = read_recordings(named, pattern="{what}_{label}_{take}", group="what")
    assert set(found.targets) == {"ann", "bob", "cid"}
    assert set(found.groups) == {"rise", "fall", "flat"}
    assert read_recordings(named, pattern="{label}_{rest}", target="rest").targets[0] == "ann_0"


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_a_table_in_the_folder(folders, ending):
    rows = [("dog/a1b-x-0.wav", "woof", "x"), ("deep/a1b-x-1.ogg", "miau", "y")]  # the second is found by its name
    if ending == "jsonl":
        text = "".join(json.dumps(dict(zip(("file", "label", "home"), row, strict=True))) + "\n" for row in rows)
    else:
        between = "," if ending == "csv" else "\t"
        text = "".join(between.join(row) + "\n" for row in (("file", "label", "home"), *rows))
    (folders / f"all.{ending}").write_text(text)
    found = read_recordings(folders, label_from="manifest", group="home")
    assert [p.name for p in found.paths] == ["a1b-x-0.wav", "a1b-x-1.ogg"]
    assert (found.targets, found.groups) == (["woof", "miau"], ["x", "y"])
    assert read_recordings(folders, target="home").targets == ["x", "y"]


def test_a_table_with_numbers(folders):
    table = write_csv(folders / "n.csv", [{"clip": "cat/c2d-x-0.wav", "age": "3.5"}, {"clip": "", "age": "1"}])
    found = read_recordings("clip", data=table, target="age", kind="number", drop_empty=True)
    assert (list(found.targets), found.dropped, found.rows.tolist()) == ([3.5], 1, [1])


def test_without_targets(folders):
    found = read_recordings(folders / "dog", kind=None)
    assert (len(found.paths), found.targets, found.groups) == (2, None, None)


def test_what_cannot_be_read_is_left_out_on_request(folders):
    (folders / "dog" / "broken.wav").write_text("no sound")
    write(folders / "cat" / "empty.wav", np.zeros(0))
    found = read_recordings(folders, drop_empty=True)
    assert (len(found.paths), len(found.targets), found.dropped) == (4, 4, 0)
    assert [path.name for path in found.unreadable] == ["empty.wav", "broken.wav"]
    with pytest.raises(BadInput, match="has no samples"):
        readable(found.unreadable)


def test_recordings_of_a_table_that_are_not_there_are_left_out_on_request(folders):
    table = write_csv(folders / "t.csv", [{"path": p, "label": "x"} for p in ("dog/a1b-x-0.wav", "gone.wav")])
    found = read_recordings("path", data=table, drop_empty=True)
    assert (len(found.paths), found.rows.tolist(), found.unreadable) == (1, [1], [folders / "gone.wav"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label_from": "colour"}, "expected one of folder, name, manifest"),
        ({"pattern": "{label}-{speaker}"}, "does not fit --pattern"),
        ({"pattern": "label"}, "has no places"),
        ({"pattern": "{label}_{label}"}, "or one twice"),
        ({"pattern": "{what}_{who}"}, r"has no place \{label\}"),
        ({"pattern": "{label}_{who}", "group": "speaker"}, r"has no place \{speaker\}"),
        ({"pattern": "{label}_{who}", "label_from": "manifest"}, "leave one of them out"),
        ({"label_from": "manifest"}, "holds no table"),
        ({"kind": "number"}, "where are the numbers"),
    ],
)
def test_options_that_do_not_fit_are_refused(named, options, said):
    with pytest.raises(BadInput, match=said):
        read_recordings(named, **options)


def test_folders_and_tables_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(BadInput, match="there is no such directory"):
        read_recordings(tmp_path / "gone")
    with pytest.raises(BadInput, match="holds no recordings"):
        read_recordings(tmp_path)
    write(tmp_path / "one-1.wav", ONE)
    write(tmp_path / "two-2.wav", ONE)
    with pytest.raises(BadInput, match="no part that some recordings share"):
        read_recordings(tmp_path, group="speaker")
    table = write_csv(tmp_path / "t.csv", [{"path": f"{n}-{n}.wav", "label": "x"} for n in range(3)])
    with pytest.raises(BadInput, match=r"lists '.*0-0.wav' and 2 more, where there is no file"):
        read_recordings("path", data=table)
    with pytest.raises(BadInput, match="column 'path' is named twice"):
        read_recordings("path", data=table, target="path")
    with pytest.raises(BadInput, match="column 'label' is named twice"):
        read_recordings("path", data=table, target="label", group="label")
    with pytest.raises(BadInput, match="has no place beside --data"):
        read_recordings("path", data=table, label_from="folder")
    write_csv(tmp_path / "u.csv", [{"a": "b"}])
    with pytest.raises(BadInput, match="holds 2 tables"):
        read_recordings(tmp_path, label_from="manifest")
    (tmp_path / "t.csv").unlink()
    with pytest.raises(BadInput, match="has no column of recordings"):
        read_recordings(tmp_path, label_from="manifest")


def test_recordings_beside_the_folders_of_labels_are_refused(tmp_path):
    for name in ("rise/1.wav", "fall/1.wav", "stray.wav"):
        write(tmp_path / name, np.zeros(100))
    with pytest.raises(BadInput, match=r"in no folder of a label: 1, such as .*stray\.wav"):
        read_recordings(tmp_path)
