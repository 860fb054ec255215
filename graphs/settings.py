"""Settings, read once from the environment at the composition root and passed down."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

# LangGraph reads this at import: checkpoints then load plain data only, never objects.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
# The encoder comes from a package; nothing may look for it on a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

SAMPLE = Path(__file__).resolve().parent.parent / "handrail" / "samples" / "support"
INSTALLED_SAMPLE = Path(__file__).resolve().parent.parent.parent / "samples" / "support"


class Settings(BaseSettings):
    """Everything that differs between installations. Each is an environment variable ``HANDRAIL_...``."""

    model_config = SettingsConfigDict(env_prefix="HANDRAIL_", frozen=True, extra="ignore")

    assistant: Path = Field(
        default=SAMPLE if SAMPLE.is_dir() else INSTALLED_SAMPLE, description="The assistant's folder."
    )
    data: Path = Field(default=Path(".data"), description="Where databases, indexes, caches and keys are kept.")
    chroma_url: str | None = Field(
        default=None, description="A Chroma server, such as http://127.0.0.1:8000; embedded when absent."
    )
    workspace: str = Field(default="default", description="The workspace of the local admin.")
    host: str = Field(default="127.0.0.1", description="The address to serve on.")
    port: int = Field(default=8080, ge=1, le=65535, description="The port to serve on.")
    run_seconds: float = Field(default=60.0, gt=0, description="A segment that takes longer goes to a person.")
    segment_attempts: int = Field(default=3, ge=1, description="Attempts at a segment before a person gets it.")
    concurrency: int = Field(default=16, ge=1, description="Segments that run at once in this process.")
