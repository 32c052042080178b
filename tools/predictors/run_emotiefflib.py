"""EmotiEffLib 1.1.1 (EfficientNets on AffectNet; ONNX weights are downloaded to ~/.emotiefflib)."""

from faces import run

MODEL = "enet_b0_8_best_vgaf"


def prepare(arguments):
    from emotiefflib.facial_analysis import EmotiEffLibRecognizer

    tool = EmotiEffLibRecognizer(engine="onnx", model_name=arguments.model or MODEL)
    names = [tool.idx_to_emotion_class[i] for i in range(len(tool.idx_to_emotion_class))]

    def answer(face):
        scores = tool.predict_emotions(face, logits=False)[1][0]
        return dict(zip(names, scores[: len(names)], strict=True))  # a multi-task model adds valence and arousal

    return answer


if __name__ == "__main__":
    run(prepare, model=f"name of one of its models ({MODEL})")
