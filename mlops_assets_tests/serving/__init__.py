"""Tests of serving; failures of what their modules share show values, as those of test modules do."""

import pytest

pytest.register_assert_rewrite("mlops_assets_tests.serving.browsing", "mlops_assets_tests.serving.lived_in")
