"""Statistics of batch normalisation at the end of training."""
import pathlib
import tempfile
import unittest
from unittest import mock

import torch
from torch import nn

import support
from sotto.nn import checkpoint, statistics
from sotto.nn.augment import Augmenter
from sotto.nn.trainer import FINAL, LAST, Trainer

CPU = torch.device("cpu")


class Renewed(unittest.TestCase):
    def check(self, images, sample, batch=32, batches=2, **settings):
        """Statistics are the medians over that many batches, about equal, of the augmented images in the slice `sample`."""
        torch.manual_seed(1)
        data = support.stripes_data()
        augmenter = Augmenter(data.train, data.meta, support.config("", **settings), CPU)
        net = nn.Sequential(nn.Conv2d(data.meta.channels, 4, 3), nn.BatchNorm2d(4, momentum=0.2))
        net[1].running_mean.fill_(1e6)  # as one image that ran away leaves them
        net[1].running_var.fill_(float("inf"))
        with mock.patch.multiple(statistics, IMAGES=images, BATCH=batch):
            statistics.renew_statistics(net, augmenter)
        generator = torch.Generator().manual_seed(augmenter.config.seed)
        with torch.no_grad():
            parts = [net[0](augmenter.batch(augmenter.draw(index, generator))[0])
                     for index in torch.arange(len(data.train))[sample].tensor_split(batches)]
        channels = [b.transpose(0, 1).flatten(1) for b in parts]
        torch.testing.assert_close(net[1].running_mean, torch.stack([c.mean(1) for c in channels]).quantile(0.5, 0))
        torch.testing.assert_close(net[1].running_var, torch.stack([c.var(1) for c in channels]).quantile(0.5, 0))
        self.assertEqual(net[1].momentum, 0.2)

    def test_all_images_when_they_are_few(self):
        self.check(10000, slice(None))

    def test_spread_over_many(self):
        self.check(32, slice(None, None, 2), batches=1)

    def test_no_small_rest(self):
        self.check(10000, slice(None), batch=63)  # not 63 and 1: a batch of one has no variance

    def test_as_training_sees_the_images(self):
        self.check(10000, slice(None), stress=0.5, flip=True)

    def test_a_batch_that_ran_away_counts_for_nothing(self):
        data = support.stripes_data()
        net = nn.Sequential(nn.Conv2d(data.meta.channels, 4, 3), nn.BatchNorm2d(4))
        augmenter = Augmenter(data.train, data.meta, support.config(""), CPU)
        with mock.patch.multiple(statistics, BATCH=16):
            statistics.renew_statistics(net, augmenter)
            usual = net[1].running_var.clone()
            batch = augmenter.batch
            away = iter([1e9] + [1] * 100)
            with mock.patch.object(augmenter, "batch", lambda d: (batch(d)[0] * next(away), None)):
                statistics.renew_statistics(net, augmenter)
        self.assertLess(float((net[1].running_var / usual - 1).abs().max()), 0.5)

    def test_training_ends_with_them(self):
        with tempfile.TemporaryDirectory() as folder:
            out, data = pathlib.Path(folder) / "a", support.stripes_data()
            trainer = Trainer(support.config(str(out), arch="resnet20"), data, lambda _: None)
            trainer.resume()
            trainer.run()
            last, final = (checkpoint.load(out / name)["model"] for name in (LAST, FINAL))
        means = [k for k in final if k.endswith("running_mean")]
        self.assertFalse(any(torch.equal(last[k], final[k]) for k in means))
        statistics.renew_statistics(trainer.net, trainer.augmenter)
        for name in means:
            torch.testing.assert_close(trainer.net.state_dict()[name], final[name])


if __name__ == "__main__":
    unittest.main()
