"""Training, measuring and predicting: a thin layer over ``transformers.Trainer`` that leaves no trace but what was learned.

>>> from deltanb.training import RATES
>>> RATES["lora"]
0.005
"""

from __future__ import annotations

from deltanb.training._anatomy import Reader, anatomy
from deltanb.training._display import Live, live_display
from deltanb.training._evaluate import EvaluationResult, evaluate
from deltanb.training._frozen import FrozenCache
from deltanb.training._generate import GeneratedText, generate
from deltanb.training._predict import PredictionResult, predict
from deltanb.training._progress import Progress
from deltanb.training._rates import RATES
from deltanb.training._result import TrainingResult
from deltanb.training._train import prepared, train
from deltanb.training._what import trainable_of

__all__ = [
    "RATES",
    "EvaluationResult",
    "FrozenCache",
    "GeneratedText",
    "Live",
    "PredictionResult",
    "Progress",
    "Reader",
    "TrainingResult",
    "anatomy",
    "evaluate",
    "generate",
    "live_display",
    "predict",
    "prepared",
    "train",
    "trainable_of",
]
