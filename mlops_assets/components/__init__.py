"""How Dagster sees a model line: one component, `ModelLine`, that YAML instantiates."""

from mlops_assets.components.model_line import ModelLine

__all__ = ["ModelLine"]
