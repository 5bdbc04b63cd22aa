"""Training: from images to a model file."""

from .pipeline import Trained, train

__all__ = ["Trained", "train"]
