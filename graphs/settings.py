"""Settings, read once from the environment at the composition root and passed down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from policies.errors import ConfigError

# LangGraph reads this at import: checkpoints then load plain data only, never objects.
os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
# What guardrails-ai brings for calling models would fetch their prices at import.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
# Where these are set, LangChain and LangGraph send every text they see to a service of their makers.
os.environ.update({"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false"})
# The encoder comes from a package; nothing may look for it on a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

PREFIX = "HANDRAIL_"
SAMPLE = Path(__file__).resolve().parent.parent / "handrail" / "samples" / "support"
INSTALLED_SAMPLE = Path(__file__).resolve().parent.parent.parent / "samples" / "support"


class Settings(BaseSettings):
    """Everything that differs between installations. Each is an environment variable ``HANDRAIL_...``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    assistant: Path = Field(
        default=SAMPLE if SAMPLE.is_dir() else INSTALLED_SAMPLE, description="The assistant's folder."
    )
    data: Path = Field(default=Path(".data"), description="Where databases, indexes, caches and keys are kept.")
    database_url: SecretStr | None = Field(
        default=None,
        description="A PostgreSQL database for many processes, such as postgresql://user:password@host/name; "
        "SQLite in the data folder when absent.",
    )
    vault_key: SecretStr | None = Field(
        default=None,
        description="The key that personal data is sealed with; all processes of a database need the same. "
        "The file vault.key in the data folder when absent.",
    )
    ledger_key: SecretStr | None = Field(
        default=None,
        description="The key that the ledger's heads are signed with, 32 bytes in base64; all processes of a "
        "database need the same. The file ledger.key in the data folder when absent.",
    )
    chroma_url: str | None = Field(
        default=None, description="A Chroma server, such as http://127.0.0.1:8000; embedded when absent."
    )
    mode: Literal["production", "development"] = Field(
        default="production", description="Only `development` takes faults on purpose (`serve --fault`)."
    )
    log: Literal["text", "json"] = Field(default="text", description="How log lines are written.")
    workspace: str = Field(default="default", description="The workspace of the local admin.")
    host: str = Field(default="127.0.0.1", description="The address to serve on.")
    port: int = Field(default=8080, ge=1, le=65535, description="The port to serve on.")
    run_seconds: float = Field(default=60.0, gt=0, description="A segment that takes longer goes to a person.")
    segment_attempts: int = Field(default=3, ge=1, description="Attempts at a segment before a person gets it.")
    concurrency: int = Field(default=16, ge=1, description="Segments that run at once in this process.")
    drain_seconds: float = Field(
        default=10.0, ge=0, description="How long a process that is asked to stop waits for what it is doing."
    )
    lease_seconds: float = Field(
        default=15.0, ge=1, description="A worker that is silent for longer is taken for dead (PostgreSQL)."
    )
    model_cache: int = Field(
        default=1024,
        ge=0,
        description="Replies of language models that are kept in memory, for an hour; 0 keeps none.",
    )
    event_days: int = Field(default=30, ge=1, description="Days for which events can be read again.")
    otlp_endpoint: str | None = Field(
        default=None,
        description="Where traces are sent, over OTLP and HTTP, such as http://127.0.0.1:4318; "
        "OTEL_EXPORTER_OTLP_ENDPOINT when absent, nowhere when that is absent too.",
    )
    trace_content: bool = Field(
        default=False,
        description="Whether traces hold the contents of messages, with placeholders for personal data.",
    )


def read_settings(**given: Any) -> Settings:
    """Read the settings; ``given`` ones (from the command line) go before the environment.

    Raises ``ConfigError`` with one line for each that is wrong, which says what stands there.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        lines = [
            f"{_name(problem['loc'], given)}: {problem['msg']} (it says {str(problem['input'])!r})."
            for problem in error.errors()
        ]
        remedy = "Mend or unset it; design/settings.md lists them with their defaults."
        raise ConfigError("\n".join(lines), remedy=remedy, code="settings.invalid") from error


def secret(variable: str) -> SecretStr | None:
    """Return what an environment variable holds, such as the key of a provider; None when it is empty."""
    text = os.environ.get(variable, "").strip()
    return SecretStr(text) if text else None


def unknown_variables() -> list[str]:
    """Return the variables that are named like settings and are none: most likely misspelt."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def _name(location: tuple[int | str, ...], given: dict[str, Any]) -> str:
    name = str(location[0]).removeprefix(PREFIX.lower())
    return f"--{name}" if name in given else f"{PREFIX}{name.upper()}"
