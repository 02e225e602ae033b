from torch import nn

from lidar2d.nets.stages import stages


def network(**parts: nn.Module) -> nn.Module:
    whole = nn.Module()
    for name, part in parts.items():
        setattr(whole, name, part)
    return whole


def test_a_stage_begins_where_the_one_before_it_ended():
    blocks = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    whole = network(embed=nn.Linear(2, 2), blocks=blocks, after=nn.Linear(2, 2), head=nn.Linear(2, 2))
    assert stages(whole, ["blocks.0", "blocks.2"]) == [[blocks[0]], [blocks[1], blocks[2]]]
    assert stages(whole, ["blocks.1", "after"]) == [[blocks[1]], [blocks[2], blocks[3], whole.after]]


def test_a_stage_may_be_several_modules_or_give_out_what_is_deep_inside_one():
    first, second = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)) for _ in range(2))
    whole = network(stem=nn.Conv2d(3, 2, 1), act=nn.ReLU(), layer1=first, layer2=second)
    assert stages(whole, ["act", "layer1", "layer2"]) == [[*first], [*second]]  # an activation has no weights
    deep = network(blocks=nn.Sequential(network(inner=nn.Linear(2, 2)), network(inner=nn.Linear(2, 2))))
    assert stages(deep, ["blocks.0.inner", "blocks.1.inner"]) == [[deep.blocks[0]], [deep.blocks[1]]]


def test_names_that_do_not_tell_stages_apart_are_none():
    whole = network(encoder=network(blocks=nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])))
    assert stages(whole, ["encoder.blocks.0", "encoder.blocks.1"]) is None
    assert stages(whole, ["stages.0"]) is None
