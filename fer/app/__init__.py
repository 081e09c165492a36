"""The page: a Gradio app of six tabs."""

import os

# Gradio reads these when it is imported, which every module of this package does. It would keep a record of ten
# thousand events, and sum all of them up anew after every one.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
