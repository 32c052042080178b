"""emotion_ferplus of onnx/models (VGG-13 on FERPlus): emotion-ferplus-8.onnx, grey 64 x 64 of 0..255."""

from faces import run

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
SIDE = 64


def prepare(arguments):
    import numpy as np
    import onnxruntime
    from PIL import Image

    if not arguments.model:
        raise SystemExit("name the file: --model emotion-ferplus-8.onnx")
    network = onnxruntime.InferenceSession(arguments.model, providers=["CPUExecutionProvider"])

    def answer(face):
        grey = Image.fromarray(face).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        x = np.asarray(grey, dtype=np.float32)[None, None]
        logits = network.run(None, {network.get_inputs()[0].name: x})[0].ravel()
        return dict(zip(CLASSES, (float(value) for value in logits), strict=True))

    return answer


if __name__ == "__main__":
    run(prepare, model="its ONNX file")
