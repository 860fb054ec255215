"""Turns a BERT sentence encoder into an ONNX graph; runs as a process of its own, since it needs torch.

Usage: python onnx_export.py MODEL_FOLDER TARGET
"""

from __future__ import annotations

import sys

import torch
from transformers import BertModel

_AXES = {0: "texts", 1: "tokens"}


class Pooled(torch.nn.Module):
    """BERT, the mean over its tokens, and length 1."""

    def __init__(self, bert: torch.nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode ids of shape (texts, tokens) into (texts, dimensions)."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


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
        output_names=["vectors"],
        dynamic_axes={"input_ids": _AXES, "attention_mask": _AXES, "vectors": {0: "texts"}},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
