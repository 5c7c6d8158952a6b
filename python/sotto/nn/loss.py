"""The training loss: cross entropy, and distillation from a teacher's scores."""
from __future__ import annotations

import torch
import torch.nn.functional as F


def mean_scores(teachers: list[torch.Tensor]) -> torch.Tensor:
    """The mean of scores [n, classes], for each image over those teachers whose scores are finite; NaN if none are.

    Quadratic teachers overflow on a few images of extreme contrast (Config.stress).
    """
    scores = torch.stack(teachers)
    finite = scores.isfinite().all(2, keepdim=True)
    return torch.where(finite, scores, torch.zeros_like(scores)).sum(0) / finite.sum(0)


def training_loss(scores: torch.Tensor, labels: torch.Tensor, smoothing: float, teacher: torch.Tensor | None = None,
                  temperature: float = 1.0, weight: float = 0.0) -> torch.Tensor:
    """Mean loss of scores [n, classes] for labels [n].

    With teacher scores [n, classes]: (1 - weight) cross entropy + weight T^2 KL(softmax(teacher / T) ||
    softmax(scores / T)), Hinton et al., arXiv:1503.02531. Images whose teacher scores are not all finite have only
    the first part.
    """
    hard = F.cross_entropy(scores, labels, label_smoothing=smoothing)
    if teacher is None:
        return hard
    teacher = torch.where(teacher.isfinite().all(1, keepdim=True), teacher, scores.detach())
    soft = F.kl_div(F.log_softmax(scores / temperature, 1), F.log_softmax(teacher / temperature, 1),
                    reduction="batchmean", log_target=True)
    return (1 - weight) * hard + weight * temperature**2 * soft
