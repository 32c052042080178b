"""LibreFace 0.2.0 (ResNet-18 on AffectNet; weights are downloaded by gdown). It answers a class without scores.

The crop is taken for aligned: its own alignment looks for the face in a whole picture.
"""

import tempfile
from pathlib import Path

from faces import run


def prepare(arguments):
    from libreface.Facial_Expression_Recognition.inference import get_facial_expression
    from PIL import Image

    folder = Path(tempfile.mkdtemp(prefix="faces-"))

    def answer(face):
        file = folder / "face.png"
        Image.fromarray(face).save(file)
        return get_facial_expression(str(file), device="cpu")

    return answer


if __name__ == "__main__":
    run(prepare)
