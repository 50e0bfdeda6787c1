import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from mlops_assets_tests.families.speech.recordings import manifest, voice, write

RATE = 16_000
BOMBS = 4

_CHECK = """
import re, sys
from pathlib import Path
from mlops_assets.families.speech import FAMILY

folder = Path(sys.argv[1])
said = [FAMILY.refuse(path, FAMILY.Config()) for path in sorted(folder.glob("*.*")) if path.suffix != ".csv"]
checked = FAMILY.check(folder, Path(sys.argv[2]), FAMILY.Config(), lambda _: None)
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
refused = re.findall("SPC[0-9]{3}", " ".join(said))
print(int(peak) // 1024, *(found.code for found in checked.findings), *(f"refused:{code}" for code in refused))
"""


def peak_and_codes(folder: Path) -> tuple[int, list[str]]:
    """Refuse and check a batch in a process of its own; return its peak memory in MiB and the codes."""
    command = [sys.executable, "-c", _CHECK, str(folder), str(folder.with_name(folder.name + "-out"))]
    peak, *codes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(peak), codes


def sparse(path: Path, seconds: int) -> None:
    """Write a WAV file that takes no disk: its header promises, and its hole holds, `seconds` of silence."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(b"")
    head = bytearray(path.read_bytes())
    size = 2 * RATE * seconds
    head[4:8], head[40:44] = (size + 36).to_bytes(4, "little"), size.to_bytes(4, "little")
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(44 + size)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's own peak from /proc")
def test_hostile_recordings_take_no_more_memory_than_the_longest_allowed(tmp_path: Path) -> None:
    """Two hours, 64 channels, and FLAC files of a few kB that each unfold to 30 s of 192 kHz stereo."""
    write(tmp_path / "small/a.wav", voice(2))
    usual, codes = peak_and_codes(manifest(tmp_path / "small", [("a.wav", "send the crate")]))
    assert codes == []

    folder = tmp_path / "hostile"
    folder.mkdir()
    sparse(folder / "long.wav", 2 * 3600)
    write(folder / "wide.wav", np.zeros((RATE * 20, 64)))
    write(folder / "minutes.flac", np.zeros(RATE * 600, np.int16))
    write(folder / "bomb0.flac", np.zeros((192_000 * 30, 2), np.int16), 192_000)
    assert (folder / "bomb0.flac").stat().st_size < 100_000
    for number in range(1, BOMBS):
        (folder / f"bomb{number}.flac").write_bytes((folder / "bomb0.flac").read_bytes())
    names = ["long.wav", "wide.wav", "minutes.flac", *(f"bomb{number}.flac" for number in range(BOMBS))]
    peak, codes = peak_and_codes(manifest(folder, [(name, "send the crate") for name in names]))
    assert codes == ["SPC018", "SPC016", "SPC018"] + ["SPC019"] * BOMBS + [
        "refused:SPC018",
        "refused:SPC018",
        "refused:SPC016",
    ]
    assert peak < usual + 250
