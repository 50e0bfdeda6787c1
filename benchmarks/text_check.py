"""Check a CSV of a million messages with every rule on, against pyarrow's own read of the same file.

Target: at least 0.3 of pyarrow's pace. The rules include the words of all messages: equal, disputed and nearly equal
ones are found by sketches (`words.py`). Writing the dataset is not in it: that is one JSON line and one sha256 an item.
The file has five to fifteen words a message out of 20,000, seven labels, a confidence, and no fault; a second one has a
fault in every hundredth row. The largest memory is that of a process of its own.

Not met: pyarrow reads with both cores and at 700 MB/s, so the target leaves 40 ns for all that is asked of a word.
Half of the time goes into the words (sketches), a fifth into finding equal ones among eleven million numbers.

Learned: cutting words out as strings and numbering them, as pyarrow can, cost 0.8 s before any was compared; hashing
them where they lie, by prefix sums over bytes, takes 0.6 s with their sketches. Most regular expressions need never
run: a look at the bytes says in which rows they could match. Messages that share one word often agree in two least
hashes by chance; more than half of all eight tells.
"""

import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.csv
from alternate import alternate, show

from mlops_assets.families.text.check import judge, remarks
from mlops_assets.families.text.config import Config

LABELS = tuple(f"label{at}" for at in range(7))
CONFIG = Config(labels=LABELS)
FAULTS = ("", "x", "call me at +34 600 123 456", "fine but=label8", "caf\u00c3\u00a9 closed", "a\x07b c d")


def write(path: Path, rows: int, faults: bool) -> Path:
    """Write a CSV of messages and return its folder."""
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randrange(2, 9))) for _ in range(20_000)]
    path.parent.mkdir()
    with path.open("w", encoding="utf-8") as file:
        file.write("message,category,confidence\n")
        for at in range(rows):
            text = " ".join(draw.choices(words, k=draw.randrange(5, 16))).capitalize() + draw.choice(".?!")
            if faults and at % 100 == 0:
                text = draw.choice(FAULTS)
            file.write(f"{text},{LABELS[at % 7]},{0.5 + draw.random() / 2:.2f}\n")
    return path.parent


def peak(folder: Path) -> float:
    """Return the largest resident memory of a process that checks a folder, in GB."""
    command = [sys.executable, __file__, "--peak", str(folder)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main(quick: bool, as_json: bool) -> None:
    """Time both files."""
    rows = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as scratch:
        clean = write(Path(scratch) / "clean" / "a.csv", rows, False)
        faulty = write(Path(scratch) / "faulty" / "a.csv", rows, True)
        assert not remarks(judge(clean, CONFIG)[0])
        found = len(remarks(judge(faulty, CONFIG)[0]))
        ratio = alternate(
            lambda: pyarrow.csv.read_csv(clean / "a.csv"), lambda: judge(clean, CONFIG), 5 if quick else 7
        )
        other = alternate(lambda: pyarrow.csv.read_csv(faulty / "a.csv"), lambda: judge(faulty, CONFIG), 5)
        figures = {
            f"pyarrow's read / every check, {rows} messages": ratio,
            f"the same with a fault in every hundredth row ({found} findings)": other,
            "messages checked a second": rows / ratio.b_seconds,
            "largest memory of a checking process, GB": peak(clean),
        }
    show(figures, as_json)


if __name__ == "__main__":
    if "--peak" in sys.argv:
        judge(Path(sys.argv[-1]), CONFIG)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "linux" else 1 << 30))
    else:
        main("--quick" in sys.argv, "--json" in sys.argv)
