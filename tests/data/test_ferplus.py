"""FER+'s votes."""

import pytest
import torch

from fer.data import ferplus


def test_the_majority_drops_single_votes_and_wants_more_than_half_of_the_rest():
    """6 of 10 for happy; 5 of 5+5; 4 of 4 once six single votes are dropped; unknown is no emotion."""
    rows = [[0, 6, 4, 0, 0, 0, 0, 0, 0, 0], [5, 5, 0, 0, 0, 0, 0, 0, 0, 0], [1, 4, 1, 1, 1, 1, 1, 0, 0, 0]]
    rows += [[0, 0, 0, 0, 0, 0, 0, 0, 10, 0]]
    assert ferplus.majority_vote(torch.tensor(rows)).tolist() == [1, -1, 1, -1]


def test_a_label_is_contradicted_where_the_annotators_agree_on_another():
    """Happy by 6 of 10: `happy` stands, `sad` does not; nobody agrees: nothing is contradicted; contempt is another."""
    votes = torch.tensor([[0, 6, 4, 0, 0, 0, 0, 0, 0, 0]] * 2 + [[5, 5, 0, 0, 0, 0, 0, 0, 0, 0], [0] * 7 + [9, 0, 1]])
    labels, truth = ("happy", "sad"), torch.tensor([0, 1, 1, 0])
    assert ferplus.majority_label(votes, labels).tolist() == [0, 0, -1, -2]
    assert ferplus.contradicted(votes, truth, labels).tolist() == [False, True, False, True]
    assert ferplus.given_votes(votes, 0) == {"happiness": 6, "surprise": 4} and ferplus.given_votes(None, 0) is None


@pytest.mark.parametrize("split, agreed", [("PublicTest", 3199), ("PrivateTest", 3153)])
def test_shipped_votes_are_ten_a_face(split, agreed):
    """3,589 faces with ten votes each, and as many on which most agree as FER+'s paper keeps."""
    votes = ferplus.load_shipped_votes(split)
    assert votes.shape == (3589, 10) and (votes.sum(1) == 10).float().mean() > 0.99
    assert int((ferplus.majority_vote(votes) >= 0).sum()) == agreed


@pytest.mark.data
def test_shipped_votes_are_those_of_fer_plus(fer2013):
    for split in ("PublicTest", "PrivateTest"):
        if fer2013[split].votes is None:
            pytest.skip("fer2013new.csv is not at hand")
        assert torch.equal(ferplus.load_shipped_votes(split), fer2013[split].votes)


def test_votes_are_written_and_read_back(tmp_path, monkeypatch):
    votes = torch.arange(20).view(2, 10).byte()
    ferplus.write_shipped_votes({"PublicTest": votes}, tmp_path / "votes.npz")
    monkeypatch.setattr(ferplus, "FILE", tmp_path / "votes.npz")
    assert torch.equal(ferplus.load_shipped_votes.__wrapped__("PublicTest"), votes)
