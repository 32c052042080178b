"""The ensemble of two stills: a ResNet and EmotiEffNet, fused by their class scores.

No paper's: at size small the one begins at random and the other from ImageNet's weights, so that they err on other
faces. Two cores train both in the time of one. The weights of the mean are fitted on the validation part
(`benchmark/measures/fusion.py`); nothing is trained.
"""

from __future__ import annotations

from ferbench.models.architecture import Ensemble

ENSEMBLE = Ensemble(
    name="ensemble_still",
    title="Ensemble of CNN and EmotiEffNet",
    source="two rows of this board",
    members=("cnn", "emotieffnet"),
)
