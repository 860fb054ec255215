"""Turns a BERT sentence encoder into an ONNX graph; runs as a process of its own, since it needs torch.

Usage: python onnx_export.py MODEL_FOLDER MATCHING TARGET
"""

from __future__ import annotations

import copy
import sys

import numpy as np
import torch
from transformers import BertModel

CHANGED = (
    "attention.self.query",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
"""The weights of the last layer that the matching head changes, each by its ``up`` times its ``down``."""

_AXES = {0: "texts", 1: "tokens"}


# Of six. The last layers blur a piece into what the whole text is about; names and streets show best half-way.
_TOKEN_LAYERS = slice(2, 5)


class Pooled(torch.nn.Module):
    """BERT, the mean over its tokens, and length 1; the same by another last layer; its tokens half-way."""

    def __init__(self, bert: BertModel, last: torch.nn.Module) -> None:
        super().__init__()
        self.bert = bert
        self.last = last

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Encode ids of shape (texts, tokens) into (texts, dimensions), twice, and (texts, tokens, dimensions)."""
        read = self.bert(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        mask = attention_mask.unsqueeze(-1).to(read.last_hidden_state.dtype)
        away = (1 - mask.squeeze(-1))[:, None, None, :] * torch.finfo(mask.dtype).min
        again = self.last(read.hidden_states[-2], away)
        again = again[0] if isinstance(again, tuple) else again
        return (
            _pooled(read.last_hidden_state, mask),
            _pooled(again, mask),
            torch.stack(read.hidden_states[_TOKEN_LAYERS]).mean(0),
        )


def _pooled(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def changed(bert: BertModel, matching: str) -> torch.nn.Module:
    """Return a copy of the last layer with the changes of a head."""
    last: torch.nn.Module = copy.deepcopy(bert.encoder.layer[-1])
    with np.load(matching, allow_pickle=False) as arrays:
        for name in CHANGED:
            change = arrays[f"{name}.up"].astype(np.float32) @ arrays[f"{name}.down"].astype(np.float32)
            last.get_submodule(name).get_parameter("weight").data += torch.from_numpy(change)
    return last


def main(model: str, matching: str, target: str) -> None:
    """Write the graph of the model in folder ``model`` with the head ``matching`` to ``target``, in fp32."""
    bert = BertModel.from_pretrained(
        model, local_files_only=True, attn_implementation="eager", add_pooling_layer=False
    )
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    outputs = {"vectors": {0: "texts"}, "matching": {0: "texts"}, "tokens": _AXES}
    torch.onnx.export(
        Pooled(bert, changed(bert, matching)).eval(),
        (torch.full_like(mask, 100), mask),
        target,
        input_names=["input_ids", "attention_mask"],
        output_names=list(outputs),
        dynamic_axes={"input_ids": _AXES, "attention_mask": _AXES, **outputs},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
