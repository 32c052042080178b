"""emotion_ferplus of onnx/models (VGG-13 on FERPlus): emotion-ferplus-8.onnx, grey 64 x 64 of 0..255."""

from faces import run, scores_of

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
SIDE = 64


def prepare(arguments):
    import numpy as np
    from PIL import Image

    scores = scores_of(arguments.model, "emotion-ferplus-8.onnx")

    def answer(face):
        grey = Image.fromarray(face).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        x = np.asarray(grey, dtype=np.float32)[None, None]
        return dict(zip(CLASSES, (float(value) for value in scores(x)), strict=True))

    return answer


if __name__ == "__main__":
    run(prepare, model="its ONNX file")
