"""The quadratic activation: native kernels, tangents and the range penalty."""
import itertools
import unittest

import torch

import support
from sotto.nn import native
from sotto.nn.activation import (A, B, PENALTY_START, Activation, QuadraticFunction, quadratic_gradient_reference,
                                    quadratic_reference)


def inputs(shape=(8, 5, 7, 9)) -> torch.Tensor:
    x = 4 * torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    x.view(-1)[:6] = torch.tensor([3.0, -3.0, 5.0, 0.0, 1e4, -1e4])
    return x


class Quadratic(unittest.TestCase):
    def test_native_kernels_give_the_bits_of_the_reference(self):
        if native.library() is None:
            self.skipTest("no compiler")
        layouts, kinds = (torch.contiguous_format, torch.channels_last), (torch.bfloat16, torch.float32)
        for layout, kind, limit in itertools.product(layouts, kinds, (3.0, 5.0, 1e4)):
            with self.subTest(layout=layout, kind=kind, limit=limit):
                x = inputs().to(kind).contiguous(memory_format=layout)
                dy = inputs().flip(0).to(kind).contiguous(memory_format=layout)
                self.assertTrue(native.usable(x))
                self.assertTrue(torch.equal(native.forward(x, A, B, limit), quadratic_reference(x, limit)))
                mine = native.backward(x, dy, A, B, limit, PENALTY_START, 0.01)
                self.assertTrue(torch.equal(mine, quadratic_gradient_reference(x, dy, limit, 0.01)))

    def test_gradient_does_not_depend_on_the_strides_of_its_input(self):
        x = inputs((4, 3, 6, 6)).bfloat16().contiguous(memory_format=torch.channels_last).requires_grad_()
        dy = torch.ones(4, 3, 6, 6).bfloat16()
        y = QuadraticFunction.apply(x, 3.0, 1.0)
        (plain,) = torch.autograd.grad(y, x, dy, retain_graph=True)
        (expanded,) = torch.autograd.grad(y, x, torch.ones(1).bfloat16().expand(4, 3, 6, 6))
        self.assertTrue(torch.equal(plain, expanded))

    def test_continues_by_its_tangent(self):
        x = torch.tensor([-6.0, -3.0, 1.0, 3.0, 7.0], requires_grad=True)
        y = QuadraticFunction.apply(x, 3.0, 0.0)
        edge, slope = (lambda c: A * c * c + B * c), (lambda c: 2 * A * c + B)
        expected = [edge(-3) + slope(-3) * -3, edge(-3), edge(1), edge(3), edge(3) + slope(3) * 4]
        torch.testing.assert_close(y.detach(), torch.tensor(expected))
        (gradient,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(gradient, torch.tensor([slope(-3), slope(-3), slope(1), slope(3), slope(3)]))

    def test_penalty_has_the_gradient_of_its_formula(self):
        x = inputs((2, 3, 4, 4)).clamp(-50, 50).requires_grad_()
        dy = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
        for limit in (3.0, 1e4):
            (mine,) = torch.autograd.grad(QuadraticFunction.apply(x, limit, 1.7), x, dy)
            c = x.clamp(-limit, limit).detach()
            value = torch.where(x.abs() <= limit, A * x * x + B * x, A * c * c + B * c + (2 * A * c + B) * (x - c))
            penalty = 1.7 * (x.abs() - PENALTY_START).clamp_min(0).square().mean()
            (expected,) = torch.autograd.grad((value * dy).sum() + penalty, x)
            torch.testing.assert_close(mine, expected)

    def test_evaluation_has_no_limit(self):
        act = Activation("quadratic", 2).eval()
        act.limit = 3.0
        x = torch.full((1, 2, 1, 1), 10.0)
        normal = x / (1 + act.norm.eps) ** 0.5
        torch.testing.assert_close(act(x), A * normal**2 + B * normal)


if __name__ == "__main__":
    unittest.main()
