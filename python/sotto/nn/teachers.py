"""Teachers: trained networks whose mean scores a student learns, remembered for augmentations that come again."""
from __future__ import annotations

import torch
from torch import nn

from .errors import TrainError
from .loss import mean_scores


class Teachers:
    """Mean scores [n, classes] of several networks for augmented images; NaN where no network's are finite.

    Of each of `images` training images the augmentations 0 to views - 1 come again; their scores are computed once.
    Threads may ask at the same time, for different images.
    """

    def __init__(self, nets: list[nn.Module], images: int, classes: int, views: int, mirrored: bool,
                 device: torch.device):
        self.nets, self.mirrored, self.device = nets, mirrored, device
        self._known = torch.zeros(views, images, dtype=torch.bool)
        self._scores = torch.empty(views, images, classes, device=device)
        self._answered = torch.zeros((), dtype=torch.bool, device=device)

    def scores(self, images: torch.Tensor, index: torch.Tensor, view: int | None) -> torch.Tensor:
        """Scores for images [n, c, h, w], the training images `index` [n]; view None: augmentations that are new."""
        if view is None:
            return self._ask(images)
        new, place = ~self._known[view, index], index.to(self.device, non_blocking=True)
        if new.any():
            self._scores[view, place[new]] = self._ask(images[new])
            self._known[view, index[new]] = True
        return self._scores[view, place]

    @torch.no_grad()
    def _ask(self, images: torch.Tensor) -> torch.Tensor:
        seen = [images, images.flip(3)] if self.mirrored else [images]
        scores = mean_scores([net(x).float() for net in self.nets for x in seen])
        self._answered.logical_or_(scores.isfinite().all(1).any())
        return scores

    def check(self) -> None:
        """TrainError if the teachers' scores were not finite for any image so far."""
        if not self._answered:
            raise TrainError("the teachers' scores are not finite")
