"""Teaching the encoder's last layer to let questions lie near what answers them.

The change of each weight is of low rank (LoRA, Hu et al. 2021). In a batch, whatever does not belong to a question
is wrong for it (InfoNCE, van den Oord et al. 2018).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.nn.utils import parametrize
from transformers import AutoTokenizer, BertModel

from evals.heads.base import Announce
from tools.encoder.minilm import packaged_folder
from tools.encoder.onnx_export import CHANGED
from tools.encoder.ports import Vectors

RANK, RATE, EPOCHS, BATCH, TEMPERATURE = 48, 5e-4, 4, 64, 0.05
SEED = 7
_LONGEST = 96
_FAR = -1e4
States = list[Tensor]
"""For each text what goes into the last layer, of shape (pieces, dimensions)."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What is asked in one or several ways, and what answers it."""

    group: str
    """The document or organisation: texts of one group are hard to tell apart."""
    places: frozenset[tuple[str, str]]
    """The sentences that answer; lessons that share one are not told apart."""
    asked: tuple[str, ...]
    answers: tuple[str, ...]
    said: tuple[str, ...] = ()
    """The answers in other words."""

    def three(self, chance: random.Random) -> tuple[str, str, str]:
        """Return two ways to say the question, or one and an answer in other words, and what answers it."""
        if len(self.asked) > 1:
            first, second = chance.sample(self.asked, 2)
        else:
            first, second = self.asked[0], chance.choice(self.said or self.answers)
        return first, second, chance.choice(self.answers)


class Bert:
    """The packaged model, its last layer apart: what goes into it is computed once for each text."""

    def __init__(self) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(packaged_folder(), local_files_only=True)
        self._bert = BertModel.from_pretrained(
            packaged_folder(), local_files_only=True, attn_implementation="eager", add_pooling_layer=False
        )
        self._states: dict[str, Tensor] = {}

    def last_layer(self) -> nn.Module:
        """Return a copy of the layer that the head changes."""
        layer: nn.Module = copy.deepcopy(self._bert.encoder.layer[-1])
        return layer

    @torch.no_grad()
    def states(self, texts: Sequence[str]) -> States:
        """Return what goes into the last layer for each text."""
        new = sorted({each for each in texts if each not in self._states}, key=len)
        for start in range(0, len(new), BATCH):
            part = new[start : start + BATCH]
            given = self._tokenizer(part, padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt")
            before = self._bert(**given, output_hidden_states=True).hidden_states[-2]
            sizes = given["attention_mask"].sum(1)
            self._states |= {
                text: row[:size].half().clone() for text, row, size in zip(part, before, sizes, strict=True)
            }
        return [self._states[each] for each in texts]


class _Change(nn.Module):
    """A change of a weight by the product of two narrow matrices, nothing at first."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, weight.shape[1]) * 0.02)
        self.up = nn.Parameter(torch.zeros(weight.shape[0], RANK))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight, changed."""
        return weight + self.up @ self.down


def changeable(layer: nn.Module) -> dict[str, _Change]:
    """Freeze a layer but for changes of low rank, which are returned by the names of their weights."""
    layer.requires_grad_(False)
    changes = {}
    for name in CHANGED:
        linear = layer.get_submodule(name)
        changes[name] = _Change(linear.get_parameter("weight"))
        parametrize.register_parametrization(linear, "weight", changes[name])
    return changes


def pooled(layer: nn.Module, states: States) -> Tensor:
    """Return unit vectors of texts from what goes into the last layer."""
    longest = max(len(each) for each in states)
    hidden = torch.stack([nn.functional.pad(each.float(), (0, 0, 0, longest - len(each))) for each in states])
    mask = torch.tensor([[1.0] * len(each) + [0.0] * (longest - len(each)) for each in states])
    read = layer(hidden, (1 - mask)[:, None, None, :] * torch.finfo(torch.float32).min)
    read = read[0] if isinstance(read, tuple) else read
    return normalize((read * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), dim=1)


def fit(bert: Bert, lessons: Sequence[Lesson], announce: Announce) -> tuple[nn.Module, Mapping[str, _Change]]:
    """Teach a copy of the last layer; return it with its changes. Blocks for a minute."""
    torch.manual_seed(SEED)
    chance = random.Random(SEED)
    layer = bert.last_layer()
    changes = changeable(layer)
    weights = [each for change in changes.values() for each in change.parameters()]
    steps = EPOCHS * (len(lessons) // BATCH)
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, (step + 1) / (0.1 * steps)) * max(0.0, 1 - step / steps)
    )
    for epoch in range(EPOCHS):
        losses = []
        for batch in _batches(lessons, chance, grouped=epoch % 2 == 1):
            loss = _loss(bert, layer, batch, chance)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        announce(f"matching: pass {epoch + 1} of {EPOCHS}, loss {np.mean(losses):.3f}")
    return layer, changes


def _batches(lessons: Sequence[Lesson], chance: random.Random, *, grouped: bool) -> Iterator[list[Lesson]]:
    """Yield batches in a random order; ``grouped``, what is hard to tell apart is in one."""
    order = chance.sample(lessons, len(lessons))
    if grouped:
        order.sort(key=lambda each: each.group)
    starts = list(range(0, len(order) - BATCH + 1, BATCH))
    chance.shuffle(starts)
    for start in starts:
        yield order[start : start + BATCH]


def _loss(bert: Bert, layer: nn.Module, batch: Sequence[Lesson], chance: random.Random) -> Tensor:
    texts = list(zip(*(each.three(chance) for each in batch), strict=True))
    first, second, answer = pooled(layer, bert.states([text for kind in texts for text in kind])).chunk(3)
    alike = torch.tensor([[a is not b and bool(a.places & b.places) for b in batch] for a in batch])
    right = torch.arange(len(batch))
    total = torch.zeros(())
    for one, other in ((first, second), (first, answer), (second, answer)):
        near = (one @ other.T / TEMPERATURE).masked_fill(alike, _FAR)
        total = total + cross_entropy(near, right) + cross_entropy(near.T, right)
    return total / 6


@torch.no_grad()
def vectors_of(bert: Bert, layer: nn.Module, texts: Sequence[str]) -> Vectors:
    """Return the unit vectors of texts by a layer."""
    states = bert.states(texts)
    rows = [pooled(layer, states[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
    return np.asarray(torch.cat(rows).numpy(), np.float32)
