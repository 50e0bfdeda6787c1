"""Fixtures every test may ask for."""

from mlops_assets_tests.platform_fixture import in_process, platform, recorded

__all__ = ["in_process", "platform", "recorded"]
