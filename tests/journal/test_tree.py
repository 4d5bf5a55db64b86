from __future__ import annotations

import pytest

from lascompile.errors import UsageError
from lascompile.journal import JournalTree, Merged, folder_name

NAME = "trials.jsonl"


@pytest.fixture
def tree(tmp_path):
    return JournalTree(tmp_path / "here", NAME)


@pytest.mark.parametrize(
    ("device", "folder"),
    [
        ("Intel(R) Xeon(R) Processor", "intel-r-xeon-r-processor"),
        ("AMD EPYC 9B45 128-Core Processor", "amd-epyc-9b45-128-core-processor"),
        ("../../etc", "etc"),
        ("→", "unknown"),
        ("x" * 100, "x" * 60),
    ],
)
def test_folder_names_are_plain(device, folder):
    assert folder_name(device) == folder


def test_one_folder_a_device_and_version(tree, tmp_path):
    tree.journal("Jetson TX2", "0.27.0").append({"a": 1})
    tree.journal("Jetson TX2", "0.28.0").append({"a": 1})
    tree.journal("A board", "0.27.0").append({"a": 1})
    paths = [str(journal.path.relative_to(tmp_path / "here")) for journal in tree.journals()]
    assert paths == [
        "a-board/tvm-0.27.0/trials.jsonl",
        "jetson-tx2/tvm-0.27.0/trials.jsonl",
        "jetson-tx2/tvm-0.28.0/trials.jsonl",
    ]
    assert [tree.tvm_version(journal) for journal in tree.journals()] == ["0.27.0", "0.27.0", "0.28.0"]
    assert tree.journal("Jetson TX2", "0.27.0") is tree.journal("Jetson TX2", "0.27.0")


def test_there_is_nothing_where_there_is_no_folder(tree):
    assert list(tree.journals()) == tree.damaged() == []
    assert tree.quarantined() == 0


def test_merging_overlapping_trees_is_idempotent(tree, tmp_path):
    tree.journal("x", "1").append({"a": 1}, {"a": 2})
    other = JournalTree(tmp_path / "there", NAME)
    other.journal("x", "1").append({"a": 2}, {"a": 3, "future": [1]})
    other.journal("y", "1").append({"a": 1})
    assert tree.merge(other.root) == Merged(added=2, present=1)
    assert tree.merge(other.root) == Merged(added=0, present=3)
    assert [entry.data for entry in tree.journal("x", "1").entries()] == [{"a": 1}, {"a": 2}, {"a": 3, "future": [1]}]
    assert tree.merge(tree.root) == Merged(added=0, present=4)
    assert other.merge(tree.root) == Merged(added=1, present=3)


def test_damaged_lines_are_not_merged(tree, tmp_path):
    other = JournalTree(tmp_path / "there", NAME)
    other.journal("x", "1").append({"a": 1}, {"a": 2})
    path = next(other.journals()).path
    path.write_bytes(path.read_bytes().replace(b'"a":1', b'"a":9'))
    assert tree.merge(other.root) == Merged(added=1, present=0)
    assert tree.damaged() == []
    assert [damage.line for damage in JournalTree(other.root, NAME).damaged()] == [1]


def test_damage_is_counted_over_all_journals(tree):
    for device in "xyz":
        tree.journal(device, "1").append({"a": 1})
        path = tree.journal(device, "1").path
        path.write_bytes(path.read_bytes().replace(b'"a":1', b'"a":9'))
    assert len(tree.damaged()) == 3
    tree.journal("x", "1").append({"a": 2})
    assert (len(tree.damaged()), tree.quarantined()) == (2, 1)


def test_a_source_must_hold_something(tree, tmp_path):
    with pytest.raises(UsageError) as caught:
        tree.merge(tmp_path / "nowhere")
    assert str(caught.value) == (
        f"{tmp_path / 'nowhere'} is no folder; give one that holds <device>/tvm-<version>/trials.jsonl"
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        tree.merge(tmp_path / "empty")
    assert str(caught.value) == (
        f"{tmp_path / 'empty'} holds no <device>/tvm-<version>/trials.jsonl, so there is nothing to merge"
    )
