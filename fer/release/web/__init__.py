"""A page that needs no server: ``python -m fer web OUT`` writes a static site whose models run in the browser.

    write_site(Path("OUT"))                       # index.html, scripts, style sheet, models as ONNX, a Space's README
    serve(Path("OUT"), 7861)                      # shows it on http://127.0.0.1:7861

`site` puts it together, `models` exports the networks with their class activation maps, `constants` is the one table of
numbers that the page's scripts share with the library, `runtime` pins ONNX Runtime Web, `check` looks a site over, and
`static/` holds the page: `page.js` (what is seen), `worker.js` (files and models), `vision.js` (pixels to faces).
"""
