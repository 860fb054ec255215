"""Turns an fp32 graph of ``onnx_export`` into int8; runs as a process of its own, since it needs much memory.

Usage: python onnx_quantise.py GRAPH TARGET
"""

from __future__ import annotations

import re
import sys

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

# The second layer of each feed-forward block: a few of its inputs are huge, and one scale for all blurs the rest.
_KEEP = re.compile(r"(layer\.\d+|last)/output/dense/")


def main(graph: str, target: str) -> None:
    """Write the graph with int8 weights per channel; embeddings and the layers of ``_KEEP`` stay fp32."""
    quantize_dynamic(
        graph,
        target,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        # Seven bits: without VNNI, a processor's 16-bit sums overflow at eight.
        reduce_range=True,
        nodes_to_exclude=[node.name for node in onnx.load(graph).graph.node if _KEEP.search(node.name)],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
