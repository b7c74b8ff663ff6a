"""Live: from a camera to a window, a virtual camera, a file or a browser, without falling behind."""
