"""Face detection, and the framing of faces as in FER-2013.

`detector.load_detector`, `detector.Detector`, `framing.Box`, `framing.frame`, `framing.crop`, `verifier.face_score`.
"""
