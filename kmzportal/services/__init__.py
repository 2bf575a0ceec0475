"""What can be done: one module an errand, one function a deed. Knows no Flask, no forms, no mail server."""
