"""py-feat 2.1.5, Detectorv1 with ResMaskNet (on FER2013; weights are downloaded).

Its own detector looks for the face in the crop; where it finds none, the sample has no answer. Of several faces the
largest counts.
"""

from faces import as_file, run

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def prepare(arguments):
    from feat import Detectorv1

    tool = Detectorv1(device="cpu")

    def answer(face):
        with as_file(face) as file:
            found = tool.detect([file], data_type="image", progress_bar=False)
        found = found.dropna(subset=[CLASSES[0]])
        if not len(found):
            return None
        largest = found.loc[(found["FaceRectWidth"] * found["FaceRectHeight"]).idxmax()]
        return {name: float(largest[name]) for name in CLASSES}

    return answer


if __name__ == "__main__":
    run(prepare)
