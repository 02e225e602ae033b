"""Two gloo processes give the values and gradients of one."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lidar2d import processes
from lidar2d.frame import Batch, Frame, collate
from lidar2d.nets.minkunet import MinkUNet
from lidar2d.nets.norm import BatchNorm

ROWS = (4, 3)  # of process 0 and of process 1
FEW = {"none": (0, 0), "one": (0, 1), "one each": (1, 1), "all in one": (7, 0)}


def rows() -> Tensor:
    return torch.randn(sum(ROWS), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def weights() -> Tensor:
    return torch.randn(2, sum(ROWS), 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def norm() -> BatchNorm:
    layer = BatchNorm(4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 1.0, 2.0, -1.0]))
        layer.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    return layer


def clouds() -> list[Tensor]:
    """One cloud a process; the second is empty."""
    points = torch.rand(60, 4, generator=torch.Generator().manual_seed(2)).double() * 6 - 3
    return [points, points[:0]]


def batch(*frames: Tensor) -> Batch:
    none = torch.zeros(0, 3, 1, 1), torch.zeros(0, 3, 3), torch.zeros(0, 4, 4)
    return collate([Frame(points, *none, token=str(index)) for index, points in enumerate(frames)])


def trained(*frames: Tensor) -> dict[str, Tensor]:
    """Gradients, and statistics of norms, of a step on some clouds."""
    torch.manual_seed(0)
    net = MinkUNet(4, 4, (4,) * 8).double()
    net(batch(*frames)).square().sum().backward()
    return {key: p.grad for key, p in net.named_parameters()} | dict(net.named_buffers())


def work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    assert (processes.rank(), processes.world_size()) == (rank, 2)
    out: dict[str, Tensor] = {}

    x = rows().split(ROWS)[rank].requires_grad_()
    gathered = processes.gather(x)
    (gathered * weights()[rank]).sum().backward()
    out["gathered"], out["gather_gradient"] = gathered.detach(), x.grad

    x = rows()[:3].clone().add_(rank).requires_grad_()
    total = processes.sum_over_processes(x)
    (total * weights()[rank, :3]).sum().backward()
    out["total"], out["sum_gradient"] = total.detach(), x.grad

    x = rows().split(ROWS)[rank].requires_grad_()
    share = processes.mean_over_processes(x.square().sum(1))
    share.backward()
    out["share"], out["mean_gradient"] = share.detach(), x.grad
    out["none"] = processes.mean_over_processes(x.new_zeros(0))
    # one process without values has the other's mean
    out["lonely"] = processes.mean_over_processes(x.detach().flatten()[: 4 * rank])

    x = rows().split(ROWS)[rank].requires_grad_()
    layer = norm()
    y = layer(x)
    (y * weights()[0].split(ROWS)[rank]).sum().backward()
    out |= {"normal": y.detach(), "norm_gradient": x.grad, "norm_weight": layer.weight.grad}
    out |= {f"norm.{key}": value for key, value in layer.state_dict().items()}
    out["norm_half"] = norm().float()(rows().split(ROWS)[rank].bfloat16())
    for name, counts in FEW.items():
        x = rows()[: sum(counts)].split(counts)[rank].requires_grad_()
        layer = norm()
        y = layer(x)
        (y * weights()[0, : sum(counts)].split(counts)[rank]).sum().backward()
        out |= {f"{name}.normal": y.detach(), f"{name}.gradient": x.grad, f"{name}.to_weight": layer.weight.grad}
        out |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    out |= {f"net.{key}": value for key, value in trained(clouds()[rank]).items()}
    torch.save(out, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> list[dict[str, Tensor]]:
    folder: Path = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def equal(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


def test_gather_lays_uneven_rows_end_to_end(both):
    for out in both:
        equal(out["gathered"], rows())


def test_gathered_gradients_are_summed_back_to_their_owner(both):
    expected = weights().sum(0).split(ROWS)
    for out, gradient in zip(both, expected, strict=True):
        equal(out["gather_gradient"], gradient)


def test_sums_and_their_gradients_are_those_of_all(both):
    for out in both:
        equal(out["total"], 2 * rows()[:3] + 1)
        equal(out["sum_gradient"], weights()[:, :3].sum(0))


def test_shares_average_to_the_global_mean_in_value_and_gradient(both):
    x = rows().requires_grad_()
    x.square().sum(1).mean().backward()
    equal((both[0]["share"] + both[1]["share"]) / 2, rows().square().sum(1).mean())
    for out, gradient in zip(both, x.grad.split(ROWS), strict=True):
        equal(out["mean_gradient"] / 2, gradient)  # data-parallel training divides by the number of processes


def test_processes_without_values_add_nothing(both):
    assert [float(out["none"]) for out in both] == [0, 0]
    equal((both[0]["lonely"] + both[1]["lonely"]) / 2, rows().split(ROWS)[1].flatten()[:4].mean())


def test_batch_norm_of_two_processes_is_that_of_one(both):
    reference = nn.BatchNorm1d(4).double()
    reference.load_state_dict(norm().state_dict())
    x = rows().requires_grad_()
    y = reference(x)
    (y * weights()[0]).sum().backward()
    equal(torch.cat([out["normal"] for out in both]), y.detach())
    equal(torch.cat([out["norm_gradient"] for out in both]), x.grad)
    equal(both[0]["norm_weight"] + both[1]["norm_weight"], reference.weight.grad)
    for out in both:
        for key, value in reference.state_dict().items():
            equal(out[f"norm.{key}"], value)
        assert out["norm_half"].dtype == torch.bfloat16
    half = torch.cat([out["norm_half"] for out in both]).double()
    torch.testing.assert_close(half, y.detach(), atol=0.05, rtol=0.02)


@pytest.mark.parametrize("name", FEW)
def test_batch_norm_of_few_points_in_two_processes_is_that_of_one(both, name):
    count = sum(FEW[name])
    x = rows()[:count].requires_grad_()
    reference = norm()
    y = reference(x)
    (y * weights()[0, :count]).sum().backward()
    equal(torch.cat([out[f"{name}.normal"] for out in both]), y.detach())
    equal(torch.cat([out[f"{name}.gradient"] for out in both]), x.grad)
    equal(both[0][f"{name}.to_weight"] + both[1][f"{name}.to_weight"], reference.weight.grad)
    for out in both:
        for key, value in reference.state_dict().items():
            equal(out[f"{name}.{key}"], value)


def test_a_process_with_an_empty_cloud_trains_along(both):
    for key, value in trained(*clouds()).items():
        parts = [out[f"net.{key}"] for out in both]
        if "running" in key or "tracked" in key:
            torch.testing.assert_close(parts, [value, value], atol=1e-9, rtol=1e-9)
        else:
            torch.testing.assert_close(parts[0] + parts[1], value, atol=1e-9, rtol=1e-9)


def test_alone_everything_is_plain():
    x = rows()
    assert (processes.rank(), processes.world_size()) == (0, 1)
    assert processes.gather(x) is x
    assert processes.sum_over_processes(x) is x
    equal(processes.mean_over_processes(x.flatten()), x.mean())
    assert float(processes.mean_over_processes(x.new_zeros(0))) == 0
    equal(norm()(x), nn.functional.batch_norm(x, None, None, norm().weight, norm().bias, training=True))
