"""LibreFace 0.2.0 (ResNet-18 on AffectNet; weights are downloaded by gdown). It answers a class without scores.

The crop is taken for aligned: its own alignment looks for the face in a whole picture.
"""

from faces import as_file, run


def prepare(arguments):
    from libreface.Facial_Expression_Recognition.inference import get_facial_expression

    def answer(face):
        with as_file(face) as file:
            return get_facial_expression(file, device="cpu")

    return answer


if __name__ == "__main__":
    run(prepare)
