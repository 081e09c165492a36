"""The Predict tab: photographs, videos and the webcam."""
