"""The expression network of opencv_zoo: facial_expression_recognition_mobilefacenet_2022july.onnx (on RAF-DB).

Its own code aligns a face by five points first; a crop is resized.
"""

from faces import run

CLASSES = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
SIDE = 112


def prepare(arguments):
    import numpy as np
    import onnxruntime
    from PIL import Image

    if not arguments.model:
        raise SystemExit("name the file: --model facial_expression_recognition_mobilefacenet_2022july.onnx")
    network = onnxruntime.InferenceSession(arguments.model, providers=["CPUExecutionProvider"])

    def answer(face):
        sized = np.asarray(Image.fromarray(face).resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.float32)
        x = ((sized / 255 - 0.5) / 0.5).transpose(2, 0, 1)[None].astype(np.float32)
        logits = network.run(None, {network.get_inputs()[0].name: x})[0].ravel()
        return dict(zip(CLASSES, (float(value) for value in logits), strict=True))

    return answer


if __name__ == "__main__":
    run(prepare, model="its ONNX file")
