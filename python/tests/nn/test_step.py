"""The training step: the recorded form gives what single operations give."""
import copy
import unittest

import torch

from sotto.nn import models
from sotto.nn.activation import activations
from sotto.nn.config import Config
from sotto.nn.step import UNRECORDED, EagerStep, make_step


@unittest.skipUnless(torch.cuda.is_available(), "needs a GPU")
class Graph(unittest.TestCase):
    def check(self, activation, with_teacher):
        torch.manual_seed(1)
        device, config = torch.device("cuda"), Config(activation=activation, precision="float32")
        net = models.build("resnet20", activation, 3, 10, (32, 32)).to(device).train()
        twin = copy.deepcopy(net)
        recorded, single = make_step(net, config, device), EagerStep(twin, config)
        for call in range(UNRECORDED + 6):
            for act in (*activations(net), *activations(twin)):
                act.limit, act.penalty = (3.0 if call < UNRECORDED + 3 else 5.0), 2.0  # recorded twice
            images = torch.randn(32, 3, 32, 32, device=device)
            labels = torch.randint(0, 10, (32,), device=device)
            teacher = torch.randn(32, 10, device=device) if with_teacher else None
            got, want = recorded(images, labels, teacher), single(images, labels, teacher)
            self.assertAlmostEqual(got.loss.item(), want.loss.item(), delta=1e-2 * abs(want.loss.item()))
            self.assertLessEqual(abs(got.right.item() - want.right.item()), 1)
            for mine, its in zip(got.gradients, want.gradients, strict=True):
                self.assertLessEqual((mine - its).norm().item(), 0.1 * its.norm().item() + 1e-4)
        for mine, its in zip(net.buffers(), twin.buffers(), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-2, atol=1e-2)

    def test_relu(self):
        self.check("relu", False)

    def test_quadratic_with_a_teacher(self):
        self.check("quadratic", True)


if __name__ == "__main__":
    unittest.main()
