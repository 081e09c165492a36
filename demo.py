"""The page. `python demo.py` shows it on http://127.0.0.1:7860; `--host`, `--port` and `--share` show it to others."""

from fer.app.page import main

if __name__ == "__main__":
    main()
