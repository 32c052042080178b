"""rmn 3.3.0 (residual masking network on FER2013; weights are downloaded when it is imported)."""

from faces import run


def prepare(arguments):
    from rmn import RMN

    tool = RMN(face_detector=False)

    def answer(face):
        scores = tool.detect_emotion_for_single_face_image(face[..., ::-1].copy())[2]  # BGR
        return {name: float(value) for each in scores for name, value in each.items()}

    return answer


if __name__ == "__main__":
    run(prepare)
