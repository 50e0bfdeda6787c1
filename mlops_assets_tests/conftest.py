"""Fixtures every test may ask for."""

from mlops_assets_tests.platform_fixture import in_process, platform, recorded
from mlops_assets_tests.postgres_fixture import postgres_server, postgres_url

__all__ = ["in_process", "platform", "postgres_server", "postgres_url", "recorded"]
