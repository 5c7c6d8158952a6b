"""Deeper networks that start from the function of a shallower one."""
import pathlib
import tempfile
import unittest

import torch

import support
from sotto.nn import checkpoint, models
from sotto.nn.augment import normalise
from sotto.nn.deepen import LEAST, _pass_on, deepen
from sotto.nn.errors import TrainError
from sotto.nn.trainer import FINAL, Trainer


class Deepen(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_an_added_block_passes_channels_on(self):
        block = models.Block("quadratic", 3, 3, 1).eval()
        ends = torch.tensor([1.0, 4.0, 9.0])
        x = LEAST + torch.linspace(0, 1, 100)[:, None] * (ends - LEAST)
        with torch.no_grad():
            predicted, scale = _pass_on(block, x, x, 0.3)
            y = block(x.t()[None, :, None, :])[0, :, 0].t()
        torch.testing.assert_close(y, predicted, rtol=1e-4, atol=1e-5)
        self.assertLess(((y / scale - x).abs() / ends).max().item(), 0.01)

    def test_training_starts_with_the_function_of_a_shallower_network(self):
        data, quiet = support.stripes_data(256), lambda text: None
        # Linear beyond 3 until nearly the end: else so few images leave a network that overflows on some machines.
        tame = {"batch": 32, "penalty": 10.0, "limits": "3:0.8"}
        Trainer(support.config(str(self.folder / "first"), arch="resnet20", epochs=10, **tame), data, quiet).run()
        start = str(self.folder / "first" / FINAL)
        x = normalise(data.test.images, data.meta)
        with torch.no_grad():
            expected = checkpoint.load_network(start).net(x)
            spread = (expected - expected.mean(0)).std().item()
            for arch in ("resnet32", "resnet110"):
                settings = support.config(str(self.folder / arch), arch=arch, init=start, epochs=1, lr=1e-9,
                                          **tame)
                trainer = Trainer(settings, data, quiet)
                error = (trainer.net.eval()(x) - expected).square().mean().sqrt().item()
                self.assertLess(error / spread, 0.4, arch)
                # The statistics are those of the images: normalising by the batch changes little.
                trainer.net.train()
                own = trainer.net(normalise(data.train.images, data.meta))
                given = trainer.net.eval()(normalise(data.train.images, data.meta))
                self.assertLess((own - given).square().mean().sqrt().item() / spread, 0.4, arch)
        self.assertEqual(len(trainer.run()), 1)

    def test_refuses_networks_that_cannot_be_made_deeper(self):
        data = support.stripes_data()
        for kind, start, arch, message in (("quadratic", "resnet32", "resnet20", "only be made deeper"),
                                           ("quadratic", "resnet20", "resnet34", "only be made deeper"),
                                           ("relu", "resnet20", "resnet32", "with quadratic activations"),
                                           ("quadratic", "mlp", "resnet20", "with quadratic activations")):
            path = self.folder / f"{start}.pt"
            net = support.constructed(kind, start)
            checkpoint.save(path, support.config("", arch=start, activation=kind), data.meta, [], net.state_dict())
            settings = support.config(str(self.folder / "run"), arch=arch, init=str(path))
            with self.assertRaisesRegex(TrainError, f"another kind.*{message}"):
                Trainer(settings, data, lambda text: None)

    def test_refuses_values_that_are_not_finite(self):
        net = support.constructed("quadratic", "resnet20")
        net.act.norm.weight.data.fill_(1e30)
        data = support.stripes_data()
        with self.assertRaisesRegex(TrainError, "not finite"):
            deepen(net, support.constructed("quadratic", "resnet32"), data.train.images, data.meta)


if __name__ == "__main__":
    unittest.main()
