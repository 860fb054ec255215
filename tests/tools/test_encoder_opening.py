from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import ConfigError
from tools.encoder import open_encoder

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


async def test_a_folder_without_a_model_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be loaded.*Name a folder or a published"):
        async with open_encoder(str(tmp_path), tmp_path):
            raise AssertionError("it opened")
