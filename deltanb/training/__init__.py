"""Training, measuring and predicting: a thin layer over ``transformers.Trainer`` that leaves no trace but what was learned.

>>> from deltanb.training import RATES
>>> RATES["lora"]
0.005
"""

from __future__ import annotations

from deltanb.training._evaluate import EvaluationResult, evaluate
from deltanb.training._frozen import FrozenCache
from deltanb.training._predict import PredictionResult, predict
from deltanb.training._rates import RATES
from deltanb.training._result import TrainingResult
from deltanb.training._train import train

__all__ = ["RATES", "EvaluationResult", "FrozenCache", "PredictionResult", "TrainingResult", "evaluate", "predict", "train"]
