"""One step of learning: its rate, loss and gradient, in any precision and memory, and on to the bit after a stop."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lensctl.learning.networks.architectures import build
from lensctl.learning.training.learner import Learner, Schedule, precision_of
from lensctl.rules.errors import InputError
from tests.toys import rings

CPU = torch.device("cpu")
X = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
Y = torch.tensor([0.0, 1] * 4)
W = torch.tensor([1.0, 0.5] * 4)


def learner(arch: str = "shielded", dropout: float = 0.0, **settings: object) -> Learner:
    torch.manual_seed(0)
    return Learner(rings.tiny(3, dropout) if arch == "tiny" else build(arch, dropout), CPU, **settings)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_the_rate_rises_then_follows_a_cosine_to_its_end():
    schedule = Schedule(1e-3, 1e-5, 0.1, 100)
    rates = [schedule.at(step) for step in range(100)]
    assert rates[9] == pytest.approx(1e-3)
    np.testing.assert_allclose(np.diff(rates[:10]), 1e-4)
    assert rates[-1] == pytest.approx(1e-5)
    assert (np.diff(rates[10:]) <= 0).all()
    middle = 0.5 * (1e-3 + 1e-5)
    assert rates[10] > schedule.at(54) > middle > schedule.at(56) > rates[-1]


def test_without_warmup_and_in_one_step_the_rate_is_a_number():
    assert Schedule(1e-3, 1e-5, 0.0, 10).at(0) == pytest.approx(1e-3)
    assert Schedule(1e-3, 1e-5, 0.03, 1).at(0) == pytest.approx(1e-3)


def test_the_loss_is_the_mean_of_weight_times_cross_entropy():
    one = learner()
    step = one.step(X, Y, W, lr=0.0, purpose="0")
    each = torch.nn.functional.binary_cross_entropy_with_logits(step.logits, Y, reduction="none")
    assert step.loss == pytest.approx(float((W * each).sum() / 8))
    assert bool(step.finite)


def test_a_step_changes_the_weights_by_the_rate_it_is_told():
    still, moving = learner(), learner()
    before = {name: p.detach().clone() for name, p in still.network.named_parameters()}
    still.step(X, Y, W, lr=0.0, purpose="0")
    moving.step(X, Y, W, lr=1e-2, purpose="0")
    assert all(torch.equal(p, before[name]) for name, p in still.network.named_parameters())
    assert not all(torch.equal(p, before[name]) for name, p in moving.network.named_parameters())


def test_what_it_keeps_goes_on_to_the_bit_and_in_the_memory_format_it_had():
    straight, first, second = learner(), learner(), learner()
    for i in range(4):
        straight.step(X, Y, W, lr=1e-2, purpose=str(i))
    for i in range(2):
        first.step(X, Y, W, lr=1e-2, purpose=str(i))
    kept = {name: tensor.detach().clone().contiguous() for name, tensor in first.tensors().items()}
    second.restore(kept, first.state())
    for i in range(2, 4):
        second.step(X, Y, W, lr=1e-2, purpose=str(i))
    assert same(straight.tensors(), second.tensors())
    moments = [t for name, t in second.tensors().items() if name.endswith("exp_avg") and t.dim() == 4]
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in moments)


def test_dropout_is_a_function_of_the_purpose_and_leaves_global_randomness_alone():
    logits = [learner(dropout=0.5).step(X, Y, W, lr=0.0, purpose=p).logits for p in ("a", "a", "b")]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    one = learner(dropout=0.5)
    before = torch.get_rng_state()
    one.step(X, Y, W, lr=0.0, purpose="a")
    assert torch.equal(before, torch.get_rng_state())


def test_gradients_are_clipped():
    one = learner(clip=1e-3)
    one.step(X, 1000 * Y, W, lr=0.0, purpose="0")
    norm = torch.stack([p.grad.norm() for p in one.network.parameters()]).norm()
    assert norm == pytest.approx(1e-3, rel=1e-3)


class LittleMemory:
    """A network on a device that has room for so many cutouts; for more it fails as a GPU does, or as the host does."""

    def __init__(self, network: torch.nn.Module, most: int, host: bool = False) -> None:
        self.network, self.most, self.host = network, most, host

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            if self.host:
                torch.empty(1 << 55, dtype=torch.uint8)
            raise torch.OutOfMemoryError
        return self.network(x)


@pytest.mark.parametrize("host", [False, True])
def test_out_of_memory_halves_the_batch_sums_the_gradients_and_says_so(host):
    said: list[str] = []
    whole, pieces = learner(), learner(say=said.append)
    for one in (whole, pieces):  # batch norm sees the pieces; without it the sum is the whole
        one.network.eval()
        one.network.train = lambda mode=True: None
    pieces.forward = LittleMemory(pieces.network, 3, host)
    a = whole.step(X, Y, W, lr=1e-3, purpose="0")
    b = pieces.step(X, Y, W, lr=1e-3, purpose="0")
    torch.testing.assert_close(a.logits, b.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(a.loss, b.loss, rtol=1e-5, atol=1e-6)
    gradients = zip(whole.network.parameters(), pieces.network.parameters(), strict=True)
    for one, other in gradients:
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5)
    assert pieces.micro_batch == 2
    assert [text.rpartition("micro-batches of ")[2].split(" ")[0] for text in said] == ["4", "2"]
    assert "batch norm uses each micro-batch separately" in said[0]


def test_with_batch_norm_pieces_give_another_gradient_which_is_why_it_is_said():
    whole, pieces = learner(), learner()
    pieces.forward = LittleMemory(pieces.network, 4)
    whole.step(X, Y, W, lr=0.0, purpose="0")
    pieces.step(X, Y, W, lr=0.0, purpose="0")
    pairs = zip(whole.network.parameters(), pieces.network.parameters(), strict=True)
    assert not all(torch.allclose(one.grad, other.grad, rtol=1e-3, atol=1e-5) for one, other in pairs)


def test_another_error_than_want_of_memory_is_not_halved_away():
    one = learner()
    one.forward = lambda x: x.reshape(7)
    with pytest.raises(RuntimeError, match="shape"):
        one.step(X, Y, W, lr=1e-3, purpose="0")
    assert one.micro_batch is None


@pytest.mark.parametrize(("bf16", "wanted"), [(True, torch.bfloat16), (False, torch.float16)])
def test_the_precision_is_what_the_device_computes_in(monkeypatch, bf16, wanted):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16 or including_emulation)
    assert precision_of(torch.device("cuda"), amp=True) is wanted
    assert precision_of(torch.device("cuda"), amp=False) is torch.float32
    assert precision_of(CPU, amp=True) is torch.float32


def test_in_half_precision_it_learns_scales_its_loss_and_goes_on_to_the_bit():
    straight, first, second = (learner("tiny", precision=torch.float16) for _ in range(3))
    for one in (straight, first, second):
        one.scaler.set_growth_interval(3)
    losses = [float(straight.step(X, Y, W, lr=1e-2, purpose=str(i)).loss) for i in range(6)]
    assert losses[-1] < losses[0]
    for i in range(4):
        first.step(X, Y, W, lr=1e-2, purpose=str(i))
    kept = {name: tensor.detach().clone() for name, tensor in first.tensors().items()}
    second.restore(kept, json.loads(json.dumps(first.state())))
    assert second.scaler.get_scale() == first.scaler.get_scale() > 2.0**16
    for i in range(4, 6):
        second.step(X, Y, W, lr=1e-2, purpose=str(i))
    assert same(straight.tensors(), second.tensors())
    assert straight.state() == second.state()


def test_gradients_that_overflow_in_half_precision_leave_the_step_out_and_are_no_red_flag():
    one = learner("tiny", precision=torch.float16)
    one.step(X, Y, W, lr=0.0, purpose="first")
    one.scaler.update(2.0**40)
    before = {name: p.detach().clone() for name, p in one.network.named_parameters()}
    step = one.step(X, Y, W, lr=1e-2, purpose="0")
    assert bool(step.finite)
    assert all(torch.equal(p, before[name]) for name, p in one.network.named_parameters())
    assert one.scaler.get_scale() == 2.0**39
    assert not bool(one.step(X * float("nan"), Y, W, lr=1e-2, purpose="1").finite)


def test_no_memory_for_a_single_cutout_is_said():
    one = learner()
    one.forward = LittleMemory(one.network, 0)
    with pytest.raises(InputError, match="single cutout"):
        one.step(X, Y, W, lr=1e-3, purpose="0")


def test_a_gradient_that_is_no_number_is_told_though_the_loss_is_one():
    one = learner()
    next(one.network.parameters()).register_hook(lambda gradient: gradient * float("inf"))
    step = one.step(X, Y, W, lr=1e-3, purpose="0")
    assert torch.isfinite(step.loss)
    assert not bool(step.finite)


def test_a_step_that_is_no_number_is_told():
    one = learner()
    assert not bool(one.step(X * float("nan"), Y, W, lr=1e-3, purpose="0").finite)


@pytest.mark.soak
def test_compiled_it_makes_the_same_step_within_rounding():
    plain, compiled = learner("tiny"), learner("tiny", compiled=True)
    for i in range(3):
        one, other = (each.step(X, Y, W, lr=1e-3, purpose=str(i)) for each in (plain, compiled))
        torch.testing.assert_close(one.logits, other.logits, rtol=1e-3, atol=1e-4)
    assert list(plain.tensors()) == list(compiled.tensors())
