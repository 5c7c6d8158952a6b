"""Dataset readers and augmentation."""
import gzip
import pathlib
import tempfile
import unittest

import numpy as np
import torch

import support
from sotto.nn import data
from sotto.nn.augment import Augmenter, disturb, high_contrast, normalise, raise_contrast
from sotto.nn.errors import TrainError


class Readers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def fails(self, dataset: str, pattern: str):
        with self.assertRaisesRegex(TrainError, pattern) as caught:
            data.load(dataset, str(self.folder), 16, 0)
        self.assertNotIn("\n", str(caught.exception))

    def test_cifar10(self):
        support.write_cifar10(self.folder)
        d = data.load("cifar10", str(self.folder), 32, 0)
        self.assertEqual((len(d.train), len(d.test)), (20, 4))
        raw = (self.folder / "data_batch_1.bin").read_bytes()
        self.assertEqual(d.train.images[0, 2, 5, 1], raw[1 + 1024 + 2 * 32 + 5])
        self.assertEqual(d.train.labels[:4].tolist(), [0, 1, 2, 3])

    def test_cifar10_problems(self):
        self.fails("cifar10", "there is no data_batch_1.bin")
        support.write_cifar10(self.folder)
        path = self.folder / "data_batch_3.bin"
        raw = path.read_bytes()
        path.write_bytes(raw[:-7])
        self.fails("cifar10", "data_batch_3.bin.*truncated")
        path.write_bytes(b"\x63" + raw[1:])
        self.fails("cifar10", "label 99")
        path.write_bytes(b"")
        self.fails("cifar10", "truncated")

    def test_cifar100(self):
        raw = np.zeros((3, 3074), np.uint8)
        raw[:, 0], raw[:, 1] = 7, [5, 99, 0]
        for name in ("train.bin", "test.bin"):
            (self.folder / name).write_bytes(raw.tobytes())
        (self.folder / "fine_label_names.txt").write_text("\n".join(f"n{k}" for k in range(100)))
        d = data.load("cifar100", str(self.folder), 32, 0)
        self.assertEqual(d.train.labels.tolist(), [5, 99, 0])
        self.assertEqual(d.meta.classes[99], "n99")
        (self.folder / "fine_label_names.txt").write_text("one\ntwo\n")
        self.fails("cifar100", "2 names instead of 100")

    def write_mnist(self):
        rng = np.random.default_rng(0)
        for name, n in (("train", 12), ("t10k", 5)):
            support.write_idx(self.folder / f"{name}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28), np.uint8))
            support.write_idx(self.folder / f"{name}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8) % 10)

    def test_mnist(self):
        self.write_mnist()
        path = self.folder / "train-images-idx3-ubyte"
        plain = data.load("mnist", str(self.folder), 0, 0)
        self.assertEqual(plain.train.images.shape, (12, 28, 28, 1))
        self.assertEqual(len(plain.meta.classes), 10)
        self.assertLess(normalise(plain.train.images, plain.meta).mean().abs(), 0.01)
        (self.folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        self.assertTrue(torch.equal(data.load("mnist", str(self.folder), 0, 0).train.images, plain.train.images))

    def test_mnist_problems(self):
        self.write_mnist()
        path = self.folder / "t10k-images-idx3-ubyte"
        raw = path.read_bytes()
        for content, pattern in ((raw[:-1], "truncated"), (raw[:9], "not an IDX"), (b"PK" + raw[2:], "not an IDX")):
            path.write_bytes(content)
            self.fails("mnist", pattern)
        support.write_idx(path, np.zeros((4, 28, 28), np.uint8))
        self.fails("mnist", "4 images but 5 labels")

    def test_folder(self):
        try:
            from PIL import Image
        except ImportError:
            self.skipTest("Pillow is not installed")
        for name, value in (("cat", 10), ("dog", 200)):
            (self.folder / name).mkdir()
            for k in range(6):
                Image.new("RGB", (20 + k, 30), (value, k, 0)).save(self.folder / name / f"{k}.png")
        d = data.load("folder", str(self.folder), 16, 0)
        self.assertEqual((len(d.train), len(d.test), d.meta.classes), (11, 1, ["cat", "dog"]))
        self.assertEqual(d.train.images.shape[1:], (16, 16, 3))
        self.assertTrue(((d.train.images[:, 0, 0, 0] > 100).long() == d.train.labels).all())
        (self.folder / "cat" / "broken.png").write_bytes(b"\x89PNG")
        self.fails("folder", "broken.png: not a readable image")

    def test_unknown_and_missing(self):
        self.fails("imagenet", "unknown dataset")
        self.fails("folder", "at least two folders")


class HoldOut(unittest.TestCase):
    def test_is_seeded_and_disjoint(self):
        images = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1)
        split = data.Split(images, torch.arange(50))
        rest, held = data.hold_out(split, 10, seed=3)
        again = data.hold_out(split, 10, seed=3)[1]
        self.assertEqual(sorted(rest.labels.tolist() + held.labels.tolist()), list(range(50)))
        self.assertEqual(held.labels.tolist(), again.labels.tolist())
        self.assertNotEqual(held.labels.tolist(), data.hold_out(split, 10, seed=4)[1].labels.tolist())
        with self.assertRaises(TrainError):
            data.hold_out(split, 50, 0)


class Augmentation(unittest.TestCase):
    def batch(self, **changes):
        d = support.stripes_data(16)
        augmenter = Augmenter(d.train, d.meta, support.config("x", **changes), torch.device("cpu"))
        draw = augmenter.draw(torch.arange(16), torch.Generator().manual_seed(5))
        return d, augmenter, draw

    def test_crops_and_flips_are_those_of_the_padded_image(self):
        d, augmenter, draw = self.batch(pad=2, flip=True)
        images, labels = augmenter.batch(draw)
        self.assertTrue(torch.equal(labels, d.train.labels))
        self.assertTrue(images.is_contiguous(memory_format=torch.channels_last))
        self.assertGreater(draw.flip.sum(), 0)
        planes = torch.nn.functional.pad(normalise(d.train.images, d.meta), (2,) * 4, mode="reflect")
        for k in range(16):
            y, x = draw.dy[k].item(), draw.dx[k].item()
            expected = planes[k, :, y:y + 8, x:x + 8]
            expected = expected.flip(2) if draw.flip[k] else expected
            torch.testing.assert_close(images[k], expected)

    def test_parts_make_the_whole(self):
        _, augmenter, draw = self.batch(pad=1)
        whole = augmenter.batch(draw)[0]
        parts = [augmenter.batch(draw.part(k, 4))[0] for k in range(4)]
        self.assertTrue(torch.equal(torch.cat(parts), whole))

    def test_views_come_again(self):
        _, augmenter, _ = self.batch(pad=1, flip=True, stress=0.5, noise=0.5)
        index = torch.tensor([3, 0, 7])
        first = augmenter.view(index, 0)
        self.assertTrue(torch.equal(first.index, index))
        other = augmenter.view(index.flip(0), 1)
        self.assertFalse(torch.equal(first.pivot, other.pivot.flip(0)))
        again = augmenter.view(index.flip(0), 0)
        for name in ("index", "dy", "dx", "flip", "hole", "gain", "pivot", "noise"):
            self.assertTrue(torch.equal(getattr(first, name), getattr(again, name).flip(0)), name)

    def test_stress_raises_contrast(self):
        pixels = torch.tensor([0.0, 0.4, 0.6, 1.0]).view(1, 1, 4, 1)
        raised = raise_contrast(pixels, torch.tensor([[3.0]]), torch.tensor([[0.5]]))
        torch.testing.assert_close(raised.flatten(), torch.tensor([0.0, 0.2, 0.8, 1.0]))
        d, augmenter, draw = self.batch(pad=0, stress=0.5)
        images, plain = augmenter.batch(draw)[0], normalise(d.train.images, d.meta)
        changed = (images - plain).abs().flatten(1).max(1).values > 1e-5
        self.assertTrue(torch.equal(changed, draw.gain.flatten() > 1))
        self.assertTrue(0 < changed.sum() < 16)
        extreme = high_contrast(d.train.images, 0)
        self.assertGreater(((extreme == 0) | (extreme == 255)).float().mean(), 0.9)

    def test_noise_takes_the_place_of_some_images(self):
        d, augmenter, draw = self.batch(pad=0, noise=0.5)
        images, plain = augmenter.batch(draw)[0], normalise(d.train.images, d.meta)
        changed = (images - plain).abs().flatten(1).max(1).values > 1e-5
        self.assertTrue(torch.equal(changed, draw.noise.flatten() >= 0))
        self.assertTrue(0 < changed.sum() < 16)
        parts = [augmenter.batch(draw.part(k, 4))[0] for k in range(4)]
        self.assertTrue(torch.equal(torch.cat(parts), images))

    def test_noise_is_of_every_kind(self):
        pixels, seeds = torch.full((400, 16, 16, 3), 0.5), torch.arange(400).view(-1, 1)
        made = disturb(pixels, seeds)
        self.assertTrue((made >= 0).all() and (made <= 1).all())

        def is_board(image):
            y, x = torch.arange(16).view(-1, 1), torch.arange(16)
            fields = [(y // side + x // side) % 2 == 1 for side in range(1, 9)]
            return any((image[f] == image[f][0]).all() and (image[~f] == image[~f][0]).all() for f in fields)
        boards = torch.tensor([is_board(image) for image in made])
        two = ((made == 0) | (made == 1)).flatten(1).all(1) & ~boards
        grey = (made == made[..., :1]).flatten(1).all(1) & ~boards
        near = (made.flatten(1).std(1) < 0.28) & ~boards
        for what, images, share in (("boards", boards, 0.25), ("of two values", two, 0.25),
                                    ("grey", grey, 0.375), ("of little contrast", near, 0.125)):
            self.assertAlmostEqual(float(images.float().mean()), share, delta=0.08, msg=what)
        torch.testing.assert_close(disturb(pixels[:7], seeds[:7]), made[:7])
        self.assertFalse(torch.equal(made[0], made[1]))

    def test_erases_a_square(self):
        d, augmenter, draw = self.batch(pad=0, erase=3)
        images, plain = augmenter.batch(draw)[0], normalise(d.train.images, d.meta)
        erased = (images != plain).any(1).sum((1, 2))
        self.assertTrue((erased <= 9).all() and (erased >= 4).all())
        self.assertTrue(torch.equal(images[images != plain], torch.zeros_like(images[images != plain])))


if __name__ == "__main__":
    unittest.main()
