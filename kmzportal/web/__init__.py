"""How the portal is reached: one module an errand, its forms above its views."""
