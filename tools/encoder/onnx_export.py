"""Turns a BERT sentence encoder into an ONNX graph; runs as a process of its own, since it needs torch.

Usage: python onnx_export.py MODEL_FOLDER TARGET
"""

from __future__ import annotations

import sys

import torch
from transformers import BertModel

_AXES = {0: "texts", 1: "tokens"}


# Of six. The last layers blur a piece into what the whole text is about; names and streets show best half-way.
_TOKEN_LAYERS = slice(2, 5)


class Pooled(torch.nn.Module):
    """BERT, the mean over its tokens, and length 1; and its tokens half-way."""

    def __init__(self, bert: torch.nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Encode ids of shape (texts, tokens) into (texts, dimensions) and (texts, tokens, dimensions)."""
        read = self.bert(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        hidden = read.last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
        return pooled, torch.stack(read.hidden_states[_TOKEN_LAYERS]).mean(0)


def main(model: str, target: str) -> None:
    """Write the graph of the model in folder ``model`` to ``target``, in fp32."""
    bert = BertModel.from_pretrained(
        model, local_files_only=True, attn_implementation="eager", add_pooling_layer=False
    )
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    torch.onnx.export(
        Pooled(bert).eval(),
        (torch.full_like(mask, 100), mask),
        target,
        input_names=["input_ids", "attention_mask"],
        output_names=["vectors", "tokens"],
        dynamic_axes={"input_ids": _AXES, "attention_mask": _AXES, "vectors": {0: "texts"}, "tokens": _AXES},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
