"""Faces in pictures and videos that nobody has cropped: found, joined over time, cut out.

Detector: MTCNN (Zhang et al., IEEE Signal Processing Letters 23(10), 2016), by onnxruntime.
"""
