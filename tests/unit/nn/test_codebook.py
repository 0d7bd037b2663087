import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from jukebox_pl.nn.codebook import Codebook, least


def clusters(batch=4, length=64, dim=3, centers=8):
    torch.manual_seed(1)
    points = torch.randn(centers, dim) * 5
    return points[torch.randint(centers, (batch, length))].transpose(1, 2) + 0.01 * torch.randn(batch, dim, length)


def test_codes_name_the_nearest_vector():
    codebook, x = Codebook(8, 3), clusters()
    codebook(x)
    codes = codebook.encode(x)
    distances = torch.cdist(x.transpose(1, 2), codebook.codes.expand(4, -1, -1))
    assert codes.equal(distances.argmin(-1))
    assert codebook.decode(codes).shape == x.shape


@pytest.mark.parametrize("bins", [1, 7, 48, 256])
def test_least_is_the_first_of_equals_whatever_the_number_of_codes(bins):
    distances = torch.randint(5, (300, bins)).float()
    values, places = least(distances)
    assert values.equal(distances.amin(1))
    assert places.equal(distances.argmin(1))


def test_codes_that_nothing_falls_on_restart_where_the_data_is():
    codebook, x = Codebook(32, 3, decay=0.9), clusters()
    codebook(torch.full((1, 3, 64), 100.0))  # all codes begin far away from the data
    outputs = [codebook(x) for _ in range(60)]
    assert max(output.stats.restarted for output in outputs) > 16
    assert outputs[-1].stats.restarted == 0
    assert outputs[-1].commit_loss < 1e-2 < outputs[0].commit_loss


def test_few_vectors_a_step_keep_their_codes_unless_the_released_threshold_is_asked_for():
    shares = {}
    for threshold in (None, 1.0):
        torch.manual_seed(0)
        codebook = Codebook(64, 3, restart_threshold=threshold)
        for _ in range(300):
            stats = codebook(torch.randn(1, 3, 64)).stats
        shares[threshold] = stats.restarted.item() / 64
    assert shares[None] < 0.1
    assert shares[1.0] > 0.3


def test_eval_neither_moves_the_codebook_nor_passes_gradient_to_it():
    codebook, x = Codebook(8, 3), clusters()
    codebook(x)
    before = codebook.codes.clone()
    assert codebook.eval()(x).stats is None
    assert codebook.codes.equal(before)


def test_gradient_passes_straight_through():
    codebook, x = Codebook(8, 3), clusters().requires_grad_()
    codebook(x).quantized.sum().backward()
    assert x.grad.equal(torch.ones_like(x))


def test_a_saved_codebook_goes_on_exactly():
    one, x = Codebook(16, 3), clusters()
    for _ in range(3):
        one(x)
    other = Codebook(16, 3)
    other.load_state_dict(one.state_dict())
    torch.manual_seed(123)
    for codebook in (one, other):
        codebook(x)
    assert one.codes.equal(other.codes)


def test_fewer_vectors_than_codes_still_initialise():
    codebook = Codebook(32, 3)
    codebook(torch.randn(1, 3, 5))
    assert len(codebook.codes.unique(dim=0)) == 32


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_search_in_pieces_equals_search_at_once(rows, monkeypatch):
    codebook, x = Codebook(8, 3), clusters()
    codebook(x)
    at_once = codebook.encode(x)
    monkeypatch.setattr("jukebox_pl.nn.codebook.ROWS_AT_ONCE", rows)
    assert codebook.encode(x).equal(at_once)


class HostReads(TorchDispatchMode):
    """Lists what makes a device wait: numbers read back, shapes that depend on data, tensors that come from the host."""

    WAITS = ("_local_scalar_dense", "is_nonzero", "nonzero", "bincount", "masked_select", "unique", "equal", "lift_fresh")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name == "index" and any(x is not None and x.dtype == torch.bool for x in args[1])
        if name.startswith(self.WAITS) or by_mask or (name == "_to_copy" and (kwargs or {}).get("device")):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("threshold", [None, 1.0])
@pytest.mark.parametrize("length", [4, 64])
def test_after_the_first_step_nothing_is_read_back(threshold, length):
    codebook, x = Codebook(32, 3, restart_threshold=threshold), clusters(length=length)
    with HostReads() as first:
        codebook(x)
    assert "_local_scalar_dense" in first.found
    with HostReads() as later:
        for _ in range(3):
            codebook(x)
    assert later.found == []
    assert codebook.updates == 4


def test_a_load_is_noticed_by_a_codebook_that_has_already_stepped():
    trained, other, x = Codebook(16, 3), Codebook(16, 3), clusters()
    for _ in range(3):
        trained(x)
    other(x)
    other.load_state_dict(trained.state_dict())
    for codebook in (trained, other):  # few vectors: a wrong count would draw another noise
        codebook(x[:1, :, :5])
    assert trained.codes.equal(other.codes)
    assert other.updates == 4


def test_a_restored_codebook_does_not_start_anew():
    codebook, x = Codebook(16, 3), clusters()
    codebook.codes.copy_(torch.randn(16, 3))
    before = codebook.codes.clone()
    codebook.restore(vectors=256)
    assert codebook.counts.eq(16).all()
    codes = codebook(x).codes
    assert codes.flatten().equal(torch.cdist(x.transpose(1, 2).flatten(0, 1), before).argmin(1))


def test_kmeans_finds_the_clusters_and_counts_as_a_step_to_come_will():
    codebook, x = Codebook(32, 3), clusters()
    codebook.start(x, vectors=64)
    assert codebook.counts.sum().item() == pytest.approx(64)
    torch.testing.assert_close(codebook.sums, codebook.codes * codebook.counts[:, None])
    assert codebook(x).commit_loss < 1e-3


def test_kmeans_starts_the_same_every_time_and_on_fewer_vectors_than_codes():
    one, other = (Codebook(32, 3) for _ in range(2))
    for codebook in (one, other):
        codebook.start(clusters(1, 5), vectors=5)
    assert one.codes.equal(other.codes)
    assert one.codes.isfinite().all()


def test_with_a_share_of_zero_no_code_restarts_and_one_that_fades_out_stays_where_it_was():
    codebook, x = Codebook(32, 3, decay=0.1, restart_share=0.0), clusters()
    codebook(torch.cat([x, torch.full((4, 3, 64), 100.0)], dim=2))
    far = codebook.codes.sum(1) > 250
    assert far.any()
    for _ in range(60):  # 0.1 ** 60 is 0 in float32
        stats = codebook(x).stats
        assert stats.restarted == 0
    assert codebook.counts[far].eq(0).all()
    torch.testing.assert_close(codebook.codes[far], torch.full((int(far.sum()), 3), 100.0))
