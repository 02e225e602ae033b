import torch

from lidar2d.losses.codebook import Codebook, far_apart, k_means, nearest_code


def blobs(generator, count=50):
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    return torch.cat([c + torch.randn(count, 2, generator=generator) for c in centres])


def test_k_means_finds_what_is_apart():
    rows = blobs(torch.Generator().manual_seed(0))
    centres = k_means(rows, 8, torch.Generator().manual_seed(1), rounds=20)
    code = nearest_code(rows, centres).view(4, 50)
    groups = [set(row.tolist()) for row in code]
    assert sum(len(g) for g in groups) == len(set.union(*groups))  # no code spans two blobs
    again = k_means(rows, 8, torch.Generator().manual_seed(1), rounds=20)
    assert torch.equal(centres, again)


def test_lloyds_rounds_never_move_rows_farther_from_their_centres():
    rows = blobs(torch.Generator().manual_seed(2))

    def inertia(rounds):
        centres = k_means(rows, 5, torch.Generator().manual_seed(3), rounds)
        return (rows - centres[nearest_code(rows, centres)]).square().sum().item()

    values = [inertia(rounds) for rounds in (1, 2, 4, 8)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


def test_the_nearest_code_equals_its_slow_twin():
    generator = torch.Generator().manual_seed(4)
    rows, centres = torch.randn(40, 3, generator=generator), torch.randn(7, 3, generator=generator)
    slow = [min(range(7), key=lambda k: float((row - centres[k]).norm())) for row in rows]
    assert nearest_code(rows, centres).tolist() == slow


def test_a_book_keeps_the_first_rows_but_measures_all():
    book = Codebook(2, codes=3, kept=5)
    rows = torch.arange(16.0).view(8, 2)
    book.collect(rows[:4])
    book.collect(rows[4:])
    assert torch.equal(book.sample, rows[:5])
    assert book.filled == 5
    units = book.units(rows)
    torch.testing.assert_close(units.mean(0), torch.zeros(2))
    torch.testing.assert_close(units.std(0, unbiased=False), torch.ones(2))


def test_units_are_cut_off_far_out():
    book = Codebook(1, codes=2, kept=9)
    book.collect(torch.tensor([[-1.0], [1.0]]))
    assert book.units(torch.tensor([[100.0], [-100.0]])).flatten().tolist() == [4.0, -4.0]


def test_codes_survive_a_checkpoint():
    book = Codebook(2, codes=4, kept=200)
    book.collect(blobs(torch.Generator().manual_seed(5)))
    book.fit(torch.Generator().manual_seed(6))
    other = Codebook(2, codes=4, kept=200)
    other.load_state_dict(book.state_dict())
    rows = torch.randn(30, 2, generator=torch.Generator().manual_seed(7)) * 5
    assert torch.equal(book.sort(rows), other.sort(rows))
    assert len(set(book.sort(book.sample).tolist())) > 1


def test_far_apart_rows_find_a_rare_group():
    g = torch.Generator().manual_seed(0)
    rows = torch.randn(1000, 3, generator=g) * 0.1
    rows[7] += 20
    hit = sum(bool((far_apart(rows, 4, torch.Generator().manual_seed(s)) > 10).any()) for s in range(50))
    assert hit == 50
