"""Tests of the families; the conformance suite's failures show values, as those of test modules do."""

import pytest

pytest.register_assert_rewrite(
    *(f"mlops_assets_tests.families.{name}" for name in ("conformance", "examples", "speech.checked"))
)
