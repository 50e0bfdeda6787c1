"""Fixtures every test may ask for; and property tests that take as long as the machine needs for them."""

from hypothesis import HealthCheck, settings

from mlops_assets_tests.platform_fixture import in_process, platform, recorded
from mlops_assets_tests.postgres_fixture import postgres_server, postgres_url

__all__ = ["in_process", "platform", "postgres_server", "postgres_url", "recorded"]

# Hypothesis loads a profile by itself, another one in CI: all of it stands but for the 0.2 s that an example may take.
settings.register_profile("any pace", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")
