import argparse
import collections

import numpy as np
import pytest
import torch
from torch import nn

from lidar2d.errors import SettingError, UsageError
from lidar2d.nets.small import SmallConv
from lidar2d.nets.weights import Unknown, fill, read_file, read_weights


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


class Harmful:
    def __reduce__(self):
        return (print, ("code from a file ran",))


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_beside_weights_are_left_out_and_no_code_of_theirs_runs(tmp_path, capsys, zipped):
    """Arguments of the program, and learning rates computed by NumPy, as training code leaves them in its files."""
    rate = np.cos(0.5)
    others = {"args": argparse.Namespace(lr=0.1), "optimizer": {"param_groups": [{"lr": rate}]}, "config": Harmful()}
    content = others | {"state_dict": nn.Linear(2, 3).state_dict(), "epoch": 3}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    found = read_file(tmp_path / "a.pth")
    assert torch.equal(found["state_dict"]["weight"], content["state_dict"]["weight"])
    assert found["epoch"] == 3
    assert isinstance(found["args"], Unknown)
    assert isinstance(found["config"], Unknown)
    assert isinstance(found["optimizer"]["param_groups"][0]["lr"], Unknown)
    assert not vars(found["args"])
    assert "ran" not in capsys.readouterr().out


def test_objects_without_weights_beside_them_are_refused_by_name(tmp_path):
    torch.save(nn.Linear(2, 3), tmp_path / "module.pt")
    torch.save({"args": argparse.Namespace()}, tmp_path / "args.pt")
    torch.save({"a": collections.defaultdict(int, a=1), "b": torch.zeros(1)}, tmp_path / "default.pt")
    for name, held in (("module", "Linear"), ("args", "argparse.Namespace"), ("default", "collections.defaultdict")):
        with pytest.raises(UsageError, match=rf"{name}.pt holds a [\w.]*{held}, which only running its code"):
            read_file(tmp_path / f"{name}.pt")


def test_nothing_is_copied_when_one_name_does_not_fit():
    net = nn.Linear(2, 3)
    before = net.weight.detach().clone()
    with pytest.raises(UsageError, match="missing bias; unknown bais"):
        fill(net, {"weight": torch.zeros(3, 2), "bais": torch.zeros(3)}, "file")
    assert torch.equal(net.weight, before)


def test_a_long_list_of_faults_is_cut():
    with pytest.raises(UsageError, match="missing weight; missing bias; unknown a and 3 more"):
        fill(nn.Linear(2, 3), {name: torch.zeros(1) for name in "abcd"}, "file")


@pytest.mark.parametrize(
    "content", [b"hello world\n", b"method:\n  a: 1\n", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(50), b""]
)
def test_any_other_file_is_named_in_a_line(tmp_path, content):
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(UsageError, match=r"file\.pt") as caught:
        read_weights(tmp_path / "file.pt")
    assert len(str(caught.value).splitlines()) <= 2


def test_a_file_with_changed_bytes_is_named(tmp_path):
    path = tmp_path / "file.pt"
    torch.save({"weight": torch.arange(10_000.0)}, path)
    content = bytearray(path.read_bytes())
    content[20_000:20_200] = bytes(byte ^ 255 for byte in content[20_000:20_200])
    path.write_bytes(content)
    with pytest.raises(UsageError, match="checksums"):
        read_weights(path)


def test_a_missing_file_is_refused_as_the_setting_that_named_it():
    with pytest.raises(SettingError, match=r"weights is nowhere\.pt; there is no such file"):
        SmallConv(weights="nowhere.pt")
