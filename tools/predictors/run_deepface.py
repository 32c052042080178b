"""deepface 0.0.103 (a small CNN on FER2013; Keras weights are downloaded)."""

from faces import run


def prepare(arguments):
    from deepface import DeepFace

    def answer(face):
        found = DeepFace.analyze(
            face[..., ::-1].copy(), actions=["emotion"], detector_backend="skip", enforce_detection=False, silent=True
        )  # BGR
        return {name: percent / 100 for name, percent in found[0]["emotion"].items()}

    return answer


if __name__ == "__main__":
    run(prepare)
