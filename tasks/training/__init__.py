"""What the steps of a training share: its id, its folders, its rows, its models, its metrics."""

from tasks.training.models import load_model, recipe_of, store_model
from tasks.training.runs import (
    Training,
    checkpoints_folder,
    examples_folder,
    features_folder,
    model_folder,
    recipe_code,
    report_folder,
    run_id,
)

__all__ = [
    "Training",
    "checkpoints_folder",
    "examples_folder",
    "features_folder",
    "load_model",
    "model_folder",
    "recipe_code",
    "recipe_of",
    "report_folder",
    "run_id",
    "store_model",
]
