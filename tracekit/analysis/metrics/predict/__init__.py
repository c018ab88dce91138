"""How long the work would take under another model, from what one model showed and what workers cost here."""
