"""Lists of labels as people write them, and which row is which image."""

from pathlib import Path

import pytest

from medinv.data.prepare.items import Found
from medinv.data.prepare.labels import in_order, read_table
from medinv.data.prepare.match import match
from medinv.errors import ConfigError, DataError


def found(**names: str | tuple[str, ...]) -> Found:
    spelled = {"file_name": "file name", "sop": "SOP Instance UID", "study": "study UID"}
    kinds = {
        spelled.get(kind, kind): (name,) if isinstance(name, str) else name
        for kind, name in names.items()
    }
    key = next(iter(kinds.values()))[0]
    return Found(key=key, shown=key, names=kinds)


def table(path: Path, content: bytes | str, label: str | None = None):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, label)


@pytest.mark.parametrize(
    "content",
    [
        "path,label,sex\na.png,ill,F\n",
        "path;label;sex\r\na.png;ill;F\r\n",
        "path\tlabel\tsex\na.png\till\tF\n",
        b"\xef\xbb\xbf" + b"path;label;sex\na.png;ill;F\n",
        "sep=;\npath;label;sex\na.png;ill;F\n",
        "path;label;sex\na.png;ill;F\n".encode("utf-16"),
        "Path , Label , sex\n a.png , ill , F\n\n,,\n",
        'path,label,sex\n"a.png","ill","F"\n',
    ],
)
def test_tables_of_every_spreadsheet_are_read(tmp_path, content) -> None:
    read = table(tmp_path / "l.csv", content)
    assert [list(row.cells.values()) for row in read.rows] == [["a.png", "ill", "F"]]
    assert read.label.lower() == "label" and read.others[-1] == "sex"


def test_western_letters_of_excel_are_read(tmp_path) -> None:
    read = table(tmp_path / "l.csv", "path;label\na.png;Entzündung\n".encode("cp1252"))
    assert read.rows[0].cells["label"] == "Entzündung"


def test_another_column_of_labels_is_named_or_asked_for(tmp_path) -> None:
    text = "path,Contrast\na.png,yes\n"
    with pytest.raises(ConfigError, match=r"path, Contrast.*--label-column"):
        table(tmp_path / "l.csv", text)
    assert table(tmp_path / "l.csv", text, "contrast").label == "Contrast"


def test_words_of_parts_are_understood_and_others_are_an_error(tmp_path) -> None:
    assert table(tmp_path / "l.csv", "path,label,split\na,x,Train\nb,y,val\n").split == "split"
    with pytest.raises(ConfigError, match="'holdin'"):
        table(tmp_path / "l.csv", "path,label,split\na,x,holdin\n")
    assert table(tmp_path / "l.csv", "path,label,set\na,x,north\n").split is None


@pytest.mark.parametrize("text", ["", "a,a\n1,2\n", 'path,label\n"a.png,ill\n'])
def test_what_is_no_table_is_refused(tmp_path, text) -> None:
    with pytest.raises((DataError, ConfigError)):
        table(tmp_path / "l.csv", text)


def test_the_finding_comes_last_and_grades_in_order() -> None:
    assert in_order(["covid", "healthy"]) == ("healthy", "covid")
    assert in_order(["pneumonia", "no finding"]) == ("no finding", "pneumonia")
    assert in_order(["10", "2", "0"]) == ("0", "2", "10")
    assert in_order(["True", "False"]) == ("False", "True")


def test_the_key_is_found_whatever_its_column_is_called(tmp_path) -> None:
    images = [found(path="in/a.dcm", sop="1.2.3"), found(path="in/b.dcm", sop="1.2.4")]
    read = table(tmp_path / "l.csv", "nr,uid,label\n1,1.2.4,ill\n2,1.2.3,well\n3,1.2.9,ill\n")
    matched = match(read, images)
    assert matched.says == "column 'uid', by SOP Instance UID"
    assert [row.cells["label"] for row in matched.rows] == ["well", "ill"]
    assert [row.number for row in matched.unused] == [4]


def test_a_path_from_the_folder_of_the_list_is_found(tmp_path) -> None:
    images = [found(path=str(tmp_path / "images" / "a.png"))]
    matched = match(table(tmp_path / "l.csv", "file,label\n.\\images\\a.png,ill\n"), images)
    assert matched.rows[0] is not None and matched.kind == "path"


def test_one_study_gives_its_label_to_all_its_images(tmp_path) -> None:
    images = [found(path=f"{n}.dcm", study="1.5") for n in range(3)]
    matched = match(table(tmp_path / "l.csv", "study,label\n1.5,ill\n"), images)
    assert all(row and row.cells["label"] == "ill" for row in matched.rows)


def test_a_name_of_two_images_labels_neither(tmp_path) -> None:
    images = [
        found(path="x/a.png", file_name="a.png"),
        found(path="y/a.png", file_name="a.png"),
        found(path="y/b.png", file_name="b.png"),
    ]
    matched = match(table(tmp_path / "l.csv", "file,label\na.png,ill\nb.png,well\n"), images)
    assert matched.ambiguous == {0, 1} and matched.rows[:2] == (None, None)
    paths = match(table(tmp_path / "l.csv", "f,label\nx/a.png,ill\ny/a.png,well\n"), images)
    assert [row and row.cells["label"] for row in paths.rows] == ["ill", "well", None]


def test_two_labels_of_one_image_contradict(tmp_path) -> None:
    images = [found(path="a.png"), found(path="b.png")]
    text = "path,label\na.png,ill\na.png,well\nb.png,ill\nb.png,ill\n"
    matched = match(table(tmp_path / "l.csv", text), images)
    assert matched.contradictions == {0}
    assert [row and row.cells["label"] for row in matched.rows] == [None, "ill"]


def test_two_columns_that_disagree_must_be_told_apart(tmp_path) -> None:
    images = [found(path="a.png"), found(path="b.png")]
    text = "first,second,label\na.png,b.png,ill\nb.png,a.png,well\n"
    with pytest.raises(ConfigError, match="--key"):
        match(table(tmp_path / "l.csv", text), images)
    matched = match(table(tmp_path / "l.csv", text), images, "second")
    assert [row and row.cells["label"] for row in matched.rows] == ["well", "ill"]


def test_no_match_shows_both_sides_and_names_nobody(tmp_path) -> None:
    read = table(tmp_path / "l.csv", "file,mrn,label\nscans/7.png,Doe-4711,ill\n")
    with pytest.raises(DataError) as raised:
        match(read, [found(path="in/a.png", study="1.2.3")])
    said = str(raised.value)
    assert "scans/7.png" in said and "in/a.png" in said and "'9.9.9'" in said
    assert "4711" not in said and "'AAA-9999'" in said
