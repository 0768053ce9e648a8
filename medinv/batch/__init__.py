"""Many studies through several models: isolated, counted, resumable."""
