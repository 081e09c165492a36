"""The page: a Gradio app of six tabs."""
