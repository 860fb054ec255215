"""What tokens cost: our own price where one is set, nothing on this machine, else the list of genai-prices."""

from __future__ import annotations

from dataclasses import replace

from tools.models.ports import Usage
from tools.models.settings import ModelSettings, Price

MILLION = 1_000_000


def priced(usage: Usage, settings: ModelSettings) -> Usage:
    """Return the usage with its money; ``priced`` is False when nobody knows the price.

    The list comes with its package and is not fetched anew. It is asked only for a provider's own address: what
    another server charges, it can't know.
    """
    if settings.price is not None:
        return replace(usage, money=_by_price(usage, settings.price), priced=True)
    if settings.base_url is None and settings.provider != "ollama":
        return _by_list(usage, settings)
    return replace(usage, money=0.0, priced=settings.stays_here)


def _by_price(usage: Usage, price: Price) -> float:
    cached = price.input if price.cached is None else price.cached
    fresh = usage.input_tokens - usage.cached_tokens
    return (fresh * price.input + usage.cached_tokens * cached + usage.output_tokens * price.output) / MILLION


def _by_list(usage: Usage, settings: ModelSettings) -> Usage:
    import genai_prices

    used = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens or None,
    )
    try:
        cost = genai_prices.calc_price(used, settings.model, provider_id=settings.provider)
    except (LookupError, ValueError):
        return replace(usage, money=0.0, priced=False)
    return replace(usage, money=float(cost.total_price), priced=True)
