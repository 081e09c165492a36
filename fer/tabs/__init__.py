"""The page, one file a tab: `tab(shared)` lays it out and wires it. Only here and in demo.py is Gradio known."""
