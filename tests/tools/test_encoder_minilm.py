from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from policies.errors import ConfigError
from tools.encoder import minilm
from tools.encoder.onnx_model import OnnxModel, _batches

SCRIPT = """
import sys, time
from pathlib import Path
Path(sys.argv[1] + ".runs").open("a").write("run\\n")
time.sleep(0.2)
Path(sys.argv[2]).write_text("graph")
"""


def _plant(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let ``script`` stand beside the module in place of the export."""
    (folder / "script.py").write_text(script)
    monkeypatch.setattr(minilm, "__file__", str(folder / "minilm.py"))


def test_the_packaged_model_is_the_published_one() -> None:
    minilm.verify(minilm.packaged_folder() / "model.safetensors", minilm.SHA256)


def test_an_altered_model_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"altered")
    with pytest.raises(ConfigError, match=r"not the published model.*Install it again"):
        minilm.verify(tmp_path / "model.safetensors", minilm.SHA256)


def test_a_missing_model_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read: No such file or directory. Install it again"):
        minilm.verify(tmp_path / "model.safetensors", minilm.SHA256)


def test_two_who_want_the_graph_at_once_export_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(monkeypatch, tmp_path, SCRIPT)
    told: list[str] = []
    graph = tmp_path / "cache" / "graph.onnx"
    wanting = [
        threading.Thread(target=minilm._make_once, args=(graph, "script.py", [tmp_path / "source"], told.append))
        for _ in range(2)
    ]
    for thread in wanting:
        thread.start()
    for thread in wanting:
        thread.join()
    assert (graph.read_text(), (tmp_path / "source.runs").read_text()) == ("graph", "run\n")
    assert told == ["exporting the encoder all-MiniLM-L6-v2 (once, some 10 seconds)"]


def test_an_export_that_fails_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _plant(monkeypatch, tmp_path, "import sys; open(sys.argv[2], 'w').write('half'); sys.exit('no memory')")
    graph = tmp_path / "cache" / "graph.onnx"
    with pytest.raises(ConfigError, match="could not be exported: no memory"):
        minilm._make_once(graph, "script.py", [tmp_path], print)
    assert [path.name for path in graph.parent.iterdir()] == ["graph.lock"]


def test_a_cache_that_cannot_be_written_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Set a cache folder that can be written to"):
        minilm._make_once(tmp_path / "file" / "graph.onnx", "script.py", [tmp_path], print)


def test_a_damaged_graph_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_text("damaged")
    with pytest.raises(ConfigError, match="Delete it"):
        OnnxModel(
            id="x",
            graph=tmp_path / "graph.onnx",
            tokenizer=minilm.packaged_folder() / "tokenizer.json",
            dimensions=384,
            batch=1,
            threads=1,
        )


def test_a_graph_of_an_earlier_form_is_not_taken(tmp_path: Path) -> None:
    digest = hashlib.sha256(minilm.MATCHING.read_bytes()).hexdigest()[:8]
    assert minilm._cached(tmp_path, "fp32").name == f"all-MiniLM-L6-v2@53aa51172d14-fp32-1.3+{digest}.onnx"


def test_texts_of_alike_length_run_together() -> None:
    assert list(_batches([8, 250, 9, 8, 256], 2)) == [[0, 3], [2], [1, 4]]


def test_importing_the_encoder_loads_nothing_heavy() -> None:
    heavy = {"torch", "onnxruntime", "tokenizers", "sentence_transformers", "onnx", "transformers"}
    code = f"import sys, tools.encoder; print(sorted({heavy!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
