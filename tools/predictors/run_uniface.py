"""uniface 4.2.1 (DDAMFN on AffectNet as TorchScript; weights are downloaded).

Its own call aligns a face by five points in a whole picture and tells the best class alone. A crop is resized instead,
and all of its network's scores are taken.
"""

from faces import run

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepare(arguments):
    import numpy as np
    import torch
    from PIL import Image
    from uniface.attribute.emotion import Emotion
    from uniface.constants import EmotionWeights

    tool = Emotion(model_name=EmotionWeights.AFFECNET8)

    def answer(face):
        sized = np.asarray(Image.fromarray(face).resize(tool.input_size, Image.Resampling.BILINEAR), dtype=np.float32)
        x = torch.from_numpy(((sized / 255 - MEAN) / DEVIATION).astype(np.float32).transpose(2, 0, 1))[None]
        with torch.no_grad():
            output = tool.model(x.to(tool.device))
        logits = output[0] if isinstance(output, tuple) else output
        return dict(zip(tool.emotion_labels, (float(value) for value in logits.squeeze()), strict=True))

    return answer


if __name__ == "__main__":
    run(prepare)
