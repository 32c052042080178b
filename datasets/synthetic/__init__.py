"""Synthetic faces: identities, expressions as action units, scenes, and the batched renderer."""
