"""Language models by tier. Nothing of a provider is imported before its model is first called."""

from __future__ import annotations

from tools.models.chain import TieredModels, open_models
from tools.models.errors import BadReply, ModelFailed
from tools.models.ports import (
    Account,
    Completion,
    Data,
    Message,
    ModelRequest,
    Models,
    Piece,
    Spending,
    ToolCall,
    Tried,
    Usage,
)
from tools.models.settings import ModelSettings, ModelsSettings, Price
from tools.models.spending import InMemorySpending

__all__ = [
    "Account",
    "BadReply",
    "Completion",
    "Data",
    "InMemorySpending",
    "Message",
    "ModelFailed",
    "ModelRequest",
    "ModelSettings",
    "Models",
    "ModelsSettings",
    "Piece",
    "Price",
    "Spending",
    "TieredModels",
    "ToolCall",
    "Tried",
    "Usage",
    "open_models",
]
