"""The web interface, one module per feature, with its forms above its views."""
