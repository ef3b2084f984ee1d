"""The face-focused losses, by hand."""

import weakref

import pytest
import torch
from torch import nn

from vividface.models.presets import NANO
from vividface.models.transformer import OneStepTransformer
from vividface.training.losses import dists_loss, draw_focus, face_focused_loss, motion_loss


def test_equation_six_by_hand():
    prediction = torch.zeros(2, 1, 1, 2, 2)
    target = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(2, 1, 1, 2, 2)
    mask = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).expand(2, 1, 2, 2)
    focused = face_focused_loss(prediction, target, mask, torch.tensor([True, True]))
    everywhere = face_focused_loss(prediction, target, mask, torch.tensor([False, False]))
    mixed = face_focused_loss(prediction, target, mask, torch.tensor([True, False]))
    assert focused.item() == (1 + 16) / 4
    assert everywhere.item() == (1 + 4 + 9 + 16) / 4
    assert mixed.item() == ((1 + 16) / 4 + (1 + 4 + 9 + 16) / 4) / 2


def test_gradients_flow_only_through_the_face_when_focused():
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(2, 3, 2, 4, 4, generator=generator, requires_grad=True)
    target = torch.randn(2, 3, 2, 4, 4, generator=generator)
    mask = (torch.rand(2, 2, 4, 4, generator=generator) > 0.5).float()
    face_focused_loss(prediction, target, mask, torch.tensor([True, False])).backward()
    outside = mask[0][None].expand(3, -1, -1, -1) == 0
    assert (prediction.grad[0][outside] == 0).all()
    assert (prediction.grad[0][~outside] != 0).all()
    assert (prediction.grad[1] != 0).all()


def test_b_is_bernoulli_and_seeded():
    draws = draw_focus(20_000, 0.3, torch.Generator().manual_seed(0))
    assert abs(draws.float().mean().item() - 0.3) < 0.01
    assert torch.equal(draws, draw_focus(20_000, 0.3, torch.Generator().manual_seed(0)))
    assert not draw_focus(100, 0.0, torch.Generator().manual_seed(0)).any()
    assert draw_focus(100, 1.0, torch.Generator().manual_seed(0)).all()


def test_a_mean_over_the_mask_alone_weighs_small_faces_as_large_ones():
    prediction, target = torch.zeros(2, 3, 2, 4, 4), torch.ones(2, 3, 2, 4, 4)
    mask = torch.zeros(2, 2, 4, 4)
    mask[0, :, :1] = 1
    mask[1, :, :3] = 1
    focus = torch.tensor([True, True])
    assert face_focused_loss(prediction, target, mask, focus).item() == 0.5
    assert face_focused_loss(prediction, target, mask, focus, by_mask=True).item() == 1
    nobody = face_focused_loss(prediction, target, torch.zeros_like(mask), focus, by_mask=True)
    assert nobody.item() == 0


@pytest.mark.parametrize(("prediction", "sign"), [("velocity", 1), ("wan", -1)])
def test_the_loss_is_that_of_the_velocity_at_t_zero(prediction, sign):
    """Eq. 1-3: at t = 0 the flow is at the degraded latents, and its velocity is z_h - z_l."""
    torch.manual_seed(0)
    transformer = OneStepTransformer(**(NANO | {"num_layers": 1, "ffn_dim": 64}), prediction=prediction)
    lq, hq = torch.randn(2, 1, 768, 2, 4, 4)
    predicted = transformer(lq, torch.tensor([400.0]), transformer.prompt[None], return_dict=False)[0]
    everywhere = (torch.ones(1, 2, 4, 4), torch.tensor([False]))
    loss = face_focused_loss(transformer.restore(lq), hq, *everywhere)
    assert torch.allclose(loss, face_focused_loss(sign * predicted, hq - lq, *everywhere), rtol=1e-5)


def test_the_loss_of_motion_sees_flicker_and_no_constant_error():
    target = torch.rand(2, 3, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    assert motion_loss(target + 0.3, target).item() == pytest.approx(0, abs=1e-12)
    flicker = torch.tensor([0.0, 0.1, 0.0, 0.1, 0.0]).view(1, 1, 5, 1, 1)
    assert motion_loss(target + flicker, target).item() == pytest.approx(0.01, rel=1e-4)


class _Distance(nn.Module):
    """A distance of features, which says how many of its calls' features are alive at once."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Conv2d(3, 4, 3)
        self._features, self.most_alive = [], 0

    def forward(self, image, reference):
        features = self.layers(image).square()
        self._features.append(weakref.ref(features.untyped_storage()))
        self.most_alive = max(self.most_alive, sum(held() is not None for held in self._features))
        return (features.sin() - self.layers(reference).sin()).square().mean((1, 2, 3))


def test_checkpointed_calls_of_dists_are_alive_one_at_a_time_and_change_no_gradient():
    target = torch.rand(2, 3, 5, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    gradients, alive = [], []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        network = _Distance().requires_grad_(requires_grad=False)
        prediction = (0.9 * target).requires_grad_()
        loss = dists_loss(prediction, target, network, chunk=3, checkpointed=checkpointed)
        loss.backward()
        gradients.append(prediction.grad)
        alive.append(network.most_alive)
    assert torch.equal(*gradients)
    assert gradients[0].abs().sum() > 0
    assert alive == [4, 1], "calls of 3 of the 10 frames"
