"""Loading definitions in a fresh process, beside `import dagster` alone; which ML frameworks that imports (none)."""

import argparse
import subprocess
import sys

from alternate import alternate, show

FRAMEWORKS = ("mlx", "mlx_whisper", "tensorflow", "torch", "transformers", "onnxruntime", "mlflow", "langgraph")
LOAD = "from mlops_assets.definitions import defs; defs().get_repository_def()"
WEBSERVER = f"import dagster_webserver.app; {LOAD}"
LIST = f"; import sys; print(*[name for name in {FRAMEWORKS!r} if name in sys.modules])"


def python(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    ).stdout


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    ratio = alternate(lambda: python(LOAD), lambda: python("import dagster"), rounds=5)
    show(
        {
            "loading definitions over `import dagster`, processes": ratio,
            "loading definitions, seconds with process start": ratio.a_seconds,
            "ML frameworks imported by definitions": python(LOAD + LIST).strip() or "none",
            "ML frameworks imported by webserver and definitions": python(WEBSERVER + LIST).strip() or "none",
        },
        as_json=parser.parse_args().json,
    )


if __name__ == "__main__":
    main()
