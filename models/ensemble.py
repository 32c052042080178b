"""The ensemble of the Aff-Wild2 study: CNN, CNN-RNN and CNN-Transformer, fused by their class scores.

Paper: arXiv 2107.05160; seed: github.com/xinqi-fan/ABAW2021. The weights of the mean are fitted on the validation
part (`benchmark/measures/fusion.py`); nothing is trained.
"""

from __future__ import annotations

from ferbench.models.architecture import Ensemble

ENSEMBLE = Ensemble(
    name="ensemble",
    title="Ensemble of CNN, CNN-RNN and CNN-Transformer",
    source="arXiv 2107.05160; xinqi-fan/ABAW2021",
    members=("cnn", "cnn_rnn", "cnn_transformer"),
)
