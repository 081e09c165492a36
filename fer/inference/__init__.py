"""Photographs, folders and videos to predictions.

`predictor.Predictor`, `predictor.predict_image`, `batch.predict_files`, `batch.crop_folder`, `tracker.FaceTracker`,
`video.process_video`, `annotate.draw_faces`.
"""
