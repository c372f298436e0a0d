"""Ultralytics' YOLO detectors: the user's own files, and the one that ships.

`loading.load_yolo` takes a `.pt` or `.onnx` file, `nuclei.load_nuclei` what ships.
"""
