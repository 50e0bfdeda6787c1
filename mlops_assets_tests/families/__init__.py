"""Tests of the families; the conformance suite's failures show values, as those of test modules do."""

import pytest

pytest.register_assert_rewrite("mlops_assets_tests.families.conformance", "mlops_assets_tests.families.examples")
