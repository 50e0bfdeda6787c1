"""`python -m mlops_assets.cli` is `mlops`."""

from mlops_assets.cli.main import main

main()
