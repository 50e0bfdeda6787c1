"""What a crash left between the tables and what is published, healed: `mlops serve` runs this beside it as it starts.

A process of its own: MLflow takes seconds to import, which would hold up every request, and a gateway needs none of it.
"""

import logging
import sys

from mlops_assets.cli.context import platform
from mlops_assets.core.errors import PlatformError
from mlops_assets.lifecycle.deployment import release
from mlops_assets.serving.door.listening import log_json_lines


def main() -> int:
    """Make what is published equal to the tables; 1 if it cannot be."""
    log_json_lines()
    try:
        release.reconcile(platform())
    except PlatformError:
        logging.getLogger(__name__).exception("what is published could not be reconciled")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
