"""The expression network of opencv_zoo: facial_expression_recognition_mobilefacenet_2022july.onnx (on RAF-DB).

Its own code aligns a face by five points first; a crop is resized.
"""

from faces import run, scores_of

CLASSES = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
SIDE = 112


def prepare(arguments):
    import numpy as np
    from PIL import Image

    scores = scores_of(arguments.model, "facial_expression_recognition_mobilefacenet_2022july.onnx")

    def answer(face):
        sized = np.asarray(Image.fromarray(face).resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
        x = ((sized / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None].astype(np.float32)
        return dict(zip(CLASSES, (float(value) for value in scores(x)), strict=True))

    return answer


if __name__ == "__main__":
    run(prepare, model="its ONNX file")
