import pytest
import torch
from torch import nn

from lidar2d.errors import UsageError
from lidar2d.nets.weights import fill, read_weights


def test_a_wrapped_state_dict_is_unwrapped(tmp_path):
    state = nn.Linear(2, 3).state_dict()
    torch.save({"state_dict": state}, tmp_path / "a.pt")
    torch.save({"model": state}, tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        assert torch.equal(read_weights(tmp_path / name)["weight"], state["weight"])


def test_a_file_that_is_missing_broken_or_no_weights_is_named(tmp_path):
    (tmp_path / "broken.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}")
    (tmp_path / "broken.pt").write_bytes(b"not a pickle")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save(nn.Linear(2, 3), tmp_path / "module.pt")  # a pickled object: would run code if it were read
    for name in ("missing.pt", "broken.safetensors", "broken.pt", "list.pt", "module.pt"):
        with pytest.raises(UsageError, match=name):
            read_weights(tmp_path / name)


def test_nothing_is_copied_when_one_name_does_not_fit():
    net = nn.Linear(2, 3)
    before = net.weight.detach().clone()
    with pytest.raises(UsageError, match="missing bias; unknown bais"):
        fill(net, {"weight": torch.zeros(3, 2), "bais": torch.zeros(3)}, "file")
    assert torch.equal(net.weight, before)


def test_a_long_list_of_faults_is_cut():
    with pytest.raises(UsageError, match="missing weight; missing bias; unknown a and 3 more"):
        fill(nn.Linear(2, 3), {name: torch.zeros(1) for name in "abcd"}, "file")
