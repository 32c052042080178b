"""OpenFace 3.0 (package openface-test 0.1.26; multi-task network on AffectNet; weights are downloaded by gdown).

The order of its classes is that of its training, with Anger before Disgust; its README swaps the two.
"""

from faces import run

CLASSES = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Anger", "Disgust", "Contempt")
WEIGHTS = "./weights/MTL_backbone.pth"


def prepare(arguments):
    from openface.multitask_model import MultitaskPredictor

    tool = MultitaskPredictor(model_path=arguments.weights or WEIGHTS, device="cpu")

    def answer(face):
        logits = tool.predict(face[..., ::-1].copy())[0]  # BGR
        return dict(zip(CLASSES, (float(value) for value in logits.squeeze()), strict=True))

    return answer


if __name__ == "__main__":
    run(prepare, weights=f"its file of weights ({WEIGHTS})")
