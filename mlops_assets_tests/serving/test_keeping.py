"""What the gateway keeps of a file that was sent to a line that keeps payloads."""

from pathlib import Path

import pytest

from mlops_assets.core.events import Prediction
from mlops_assets.core.ports.platform import Platform
from mlops_assets.lifecycle.collection.keeping import kept_file
from mlops_assets.serving.engine.frames import Blob
from mlops_assets.serving.engine.recording import MOST_FILES_WAITING, Recorder, Seen
from mlops_assets_tests.lifecycle.used import eager
from mlops_assets_tests.lines import baseline_line


@pytest.mark.parametrize("keeps", [True, False])
def test_a_file_is_kept_with_its_prediction_only_where_the_line_says_so(
    platform: Platform, tmp_path: Path, keeps: bool
) -> None:
    line = eager(baseline_line(tmp_path)) if keeps else baseline_line(tmp_path)
    recorder = Recorder(platform)
    for at in range(2 * MOST_FILES_WAITING):
        recorder.add(
            Seen(line=line, event_id=f"p{at}", version=1, arm="production", latency_ms=1, input=Blob(b"%d" % at))
        )
    recorder.start()
    recorder.stop()
    events = [each.event for each in platform.events.read(line.line)]
    files = [kept_file(platform, line.line, each) for each in events if isinstance(each, Prediction)]
    assert len(files) == 2 * MOST_FILES_WAITING
    found = [path.read_bytes() for path in files if path is not None]
    assert found == ([b"%d" % at for at in range(MOST_FILES_WAITING)] if keeps else [])
    assert (platform.home / "kept").exists() == keeps
