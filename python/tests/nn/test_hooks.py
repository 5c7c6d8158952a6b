"""Hooks come off whatever happens to the network."""
import dataclasses
import unittest

import torch

import support
from sotto.nn import ranges
from sotto.nn.card import network_size
from sotto.nn.exported import restore_statistics
from sotto.nn.parallel import Pool


class Hooks(unittest.TestCase):
    def test_nothing_is_left_on_a_network_that_failed(self):
        net, d = support.constructed(), support.stripes_data()
        other = support.stripes(8, size=9)  # a size that this network cannot take
        meta = dataclasses.replace(d.meta, height=9, width=9)
        for name, use in [("size", lambda: network_size(net, meta)),
                          ("statistics", lambda: restore_statistics(net, other.images, meta)),
                          ("ranges", lambda: ranges.measure("", net, other, meta, Pool(1), torch.device("cpu")))]:
            with self.subTest(name):
                with self.assertRaises(RuntimeError):
                    use()
                left = [h for m in net.modules() for h in (*m._forward_hooks, *m._forward_pre_hooks)]
                self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
